// The templates of paths, with the cases that the service's own code is tested with.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

import { Keytrail } from '@keytrail/client'

// The package does not export it. Only a path can reach it.
import { AgentPaths } from '../node_modules/@keytrail/client/dist/middleware/agentPath.js'

interface Case {
  templates: string[]
  path: string
  matches: boolean
  workspaceId?: string
  agentType?: string
  agentId?: string
}

test('paths are read as by the service', () => {
  const cases = JSON.parse(readFileSync(process.env.AGENT_PATH_CASES!, 'utf8')) as Case[]
  assert.ok(cases.length > 50)
  for (const { templates, path, matches, ...agent } of cases) {
    assert.deepEqual(new AgentPaths(templates).match(path), matches ? agent : undefined, `${templates} ${path}`)
  }
})

test('errors name the template', () => {
  const keytrail = new Keytrail({ url: 'http://127.0.0.1', token: 'x' })
  for (const [text, reason] of Object.entries({
    '': /must begin with \//,
    'v1/{agent_type}s/{agent_id}': /must begin with \//,
    '/v1/bots/{agent_id}': /begin with the type/,
    'agent=/v1/{agent_type}s/{agent_id}': /begin with the type/,
    '/v1/{agent_type}s/{agent_id}/{agent}': /must have one of/,
    '/v1/{agent_type}s/{agent_id}/{toString}': /must have one of/,
    '/v1/{agent_type}s/{agent_id': /braces/,
    '/v1/{agent_type}{agent_id}': /braces/,
    '/{agent_type}/{agent_id}/{agent_id}': /twice/,
    'agent=/v1//{agent_id}': /empty/,
    'agent=/v1/x}': /braces/,
  })) {
    assert.throws(() => keytrail.middleware({ agentPaths: ['agent=/', text] }), reason, text)
  }
})
