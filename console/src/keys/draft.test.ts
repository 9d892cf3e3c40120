import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ApiError } from '../api/error'
import { changedFields, emptyDraft, expireTime, inputOf, localMinute, patchOf, rebase, type Draft } from './draft'
import { wrongAgent, wrongByApi, wrongIn } from './validate'

const now = Date.parse('2026-11-24T12:00:00Z')
const draft = (change: Partial<Draft> = {}): Draft => ({ ...emptyDraft, name: 'Billing', scopes: ['agent'], ...change })

test('only changed fields are sent', () => {
  const from = draft({ scopes: ['agent', 'data_agent'], expiry: { kind: 'date', date: '2027-01-01T00:00' } })
  assert.deepEqual(
    changedFields(from, { ...from, scopes: ['data_agent', 'agent'], name: ' Billing ' }),
    [],
    'the same in other words',
  )
  const to = draft({ description: 'new', expiry: { kind: 'never', date: '' }, scopes: from.scopes })
  const fields = changedFields(from, to)
  assert.deepEqual(patchOf(to, fields, now), { patch: { description: 'new' }, mask: ['description', 'expireTime'] })
})

test('agent access is all agents or a list', () => {
  const list = draft({ allAgents: false, agentIds: ['a'] })
  assert.deepEqual(patchOf(list, ['agentIds'], now), { patch: { agentIds: ['a'] }, mask: ['agentIds'] })
  assert.deepEqual(patchOf(draft({ agentIds: ['a'] }), ['agentIds'], now), { patch: { allAgents: true }, mask: ['allAgents'] })
  assert.equal('agentIds' in inputOf(draft({ agentIds: ['a'] }), now), false)
  assert.deepEqual(changedFields(draft({ agentIds: ['a'] }), draft()), [], 'the list does not count with all agents')
})

test('the time of expiry', () => {
  assert.equal(expireTime({ kind: 'never', date: '' }, now), undefined)
  assert.equal(expireTime({ kind: '30', date: '' }, now), '2026-12-24T12:00:00.000Z')
  const local = localMinute(new Date(now))
  assert.equal(expireTime({ kind: 'date', date: local }, now), new Date(now).toISOString())
})

test('changes are carried over to a newer state of the key', () => {
  const from = draft({ owner: 'a', agentIds: [] })
  const mine = { ...from, name: 'Mine', allAgents: false, agentIds: ['x'] }
  const newer = draft({ name: 'Theirs', owner: 'b' })
  assert.deepEqual(rebase(mine, from, newer), { ...newer, name: 'Mine', allAgents: false, agentIds: ['x'] })
  assert.deepEqual(rebase(from, from, newer), newer)
})

test('what the form checks itself', () => {
  const wrong = (change: Partial<Draft>) =>
    Object.keys(wrongIn(draft(change), ['name', 'scopes', 'agentIds', 'expiry', 'metadata'], now))
  assert.deepEqual(wrong({}), [])
  assert.deepEqual(wrong({ name: ' ', scopes: [], allAgents: false }), ['name', 'scopes', 'agentIds'])
  assert.deepEqual(wrong({ expiry: { kind: 'date', date: '2026-11-24T11:59' } }), ['expiry'])
  assert.deepEqual(wrong({ expiry: { kind: 'date', date: '' } }), ['expiry'])
  assert.deepEqual(wrong({ metadata: [{ name: '', value: '' }] }), [], 'an empty row')
  assert.deepEqual(wrong({ metadata: [{ name: 'a b', value: '' }] }), ['metadata'])
  assert.deepEqual(
    wrong({
      metadata: [
        { name: 'a', value: '1' },
        { name: 'a', value: '2' },
      ],
    }),
    ['metadata'],
  )
  assert.deepEqual(wrongIn(draft({ name: '' }), ['owner'], now), {}, 'fields that did not change')
})

test('the id of an agent', () => {
  assert.equal(wrongAgent('شركة, it’s <b>'), undefined)
  assert.equal(wrongAgent('😀'.repeat(255)), undefined)
  assert.notEqual(wrongAgent('a'.repeat(256)), undefined)
  assert.notEqual(wrongAgent('a\u200bb'), undefined)
})

test('errors of the API stand at their fields', () => {
  const violations = [
    { field: 'key.agent_ids[1]', description: 'is wrong' },
    { field: 'key.external_id', description: 'is too long' },
    { field: 'request_id', description: 'is wrong' },
  ]
  const error = new ApiError('', 400, 'FIELD_INVALID', {}, violations)
  assert.deepEqual(wrongByApi(error, draft({ agentIds: ['a', 'b'] })), { agentIds: 'b: is wrong', owner: 'is too long' })
})
