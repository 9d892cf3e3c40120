import assert from 'node:assert/strict'
import { test } from 'node:test'
import { activeFilters, exportCommand, filterParams, readFilters, timeParams } from './filters'

const read = (query: string) => readFilters(new URLSearchParams(query))

test('filters of the address become parameters of the API', () => {
  const filters = read('status=4xx&key=K&endpoint=%2Fv1%2F&code=expired&method=POST&type=agent&agent=a&from=2026-11-24T00:00:00Z')
  assert.deepEqual(filterParams(filters), {
    statusClass: '4xx',
    keyId: 'K',
    endpoint: '/v1/',
    errorCode: 'expired',
    agentType: 'agent',
    agentId: 'a',
    method: 'POST',
  })
  assert.deepEqual(timeParams(filters.range, 0), { startTime: '2026-11-24T00:00:00.000Z' })
  assert.deepEqual(activeFilters(filters), ['status', 'key', 'endpoint', 'code', 'method', 'type', 'agent', 'time'])
})

test('what an address cannot mean is left out', () => {
  const filters = read('status=9xx&last=2y&from=yesterday')
  assert.deepEqual(filterParams(filters), {})
  assert.deepEqual(activeFilters(filters), [])
})

test('the command is safe to paste', () => {
  const command = exportCommand('acme', read("endpoint=it's $(x)&status=5xx"), 0).split(' \\\n  ')
  assert.deepEqual(command.slice(3, 5), ['--status-class 5xx', "--endpoint 'it'\\''s $(x)'"])
  assert.match(exportCommand('acme', read('last=1h'), Date.UTC(2026, 0, 1, 1)), /--since 2026-01-01T00:00:00.000Z/)
})
