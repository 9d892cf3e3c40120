import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import type { Key } from '../api/types'
import { shorten, snippetsFor } from './snippets'

const secret = 'sk_0aB1cD0123456789abcdefghijklmnopqrstuv12p5'
const key = (agentIds: string[]) => ({ workspaceId: 'acme', scopes: ['data_agent'], agentIds }) as unknown as Key

test('a secret is shortened so that it cannot be used', () => {
  assert.equal(shorten(secret), 'sk_0aB1…12p5')
})

test('the first call is one that the key allows', () => {
  const [curl] = snippetsFor(key([]), secret, 'https://keytrail.example.com')
  assert.match(curl!.text, /https:\/\/keytrail\.example\.com\/v1\/check/)
  assert.match(curl!.text, /"agentType": "data_agent"/)
  assert.match(curl!.text, /"endpoint": "\/v1\/data_agents\/support-bot\/messages"/)
})

test('the shell reads the call as it was meant, whatever an agent is called', () => {
  for (const agentId of ['support-bot', `it's "$(id)" \\ <b>`, 'شركة']) {
    const [curl] = snippetsFor(key([agentId]), secret, 'http://localhost:8080')
    const script = `keytrail() { echo token; }; curl() { printf %s "\${@: -1}"; }\n${curl!.text}`
    const body = JSON.parse(execFileSync('bash', ['-c', script], { encoding: 'utf8' })) as Record<string, string>
    assert.deepEqual([body.apiKey, body.agentId, body.workspaceId], [secret, agentId, 'acme'])
  }
})
