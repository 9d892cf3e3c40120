// What the form checks itself, and where errors of the API belong in it.
import type { ApiError } from '../api/error'
import { expireTime, type Draft, type Field, type Wrong } from './draft'

export const maxAgents = 1000
const maxAgentLength = 255 // characters
const controls = /[\p{Cc}\p{Cf}]/u
const metadataName = /^[A-Za-z0-9_.-]{1,64}$/

/** wrongIn returns what is wrong with the given fields of a draft. */
export function wrongIn(draft: Draft, fields: readonly Field[], now: number): Wrong {
  const wrong: Wrong = {}
  if (draft.name.trim() === '') wrong.name = 'Give the key a name.'
  if (draft.scopes.length === 0) wrong.scopes = 'Choose at least one.'
  if (!draft.allAgents && draft.agentIds.length === 0) wrong.agentIds = 'Add at least one agent, or choose all agents.'
  const expiry = wrongExpiry(draft, now)
  if (expiry) wrong.expiry = expiry
  const metadata = wrongMetadata(draft)
  if (metadata) wrong.metadata = metadata
  return Object.fromEntries(Object.entries(wrong).filter(([field]) => fields.includes(field as Field)))
}

function wrongExpiry({ expiry }: Draft, now: number): string | undefined {
  if (expiry.kind !== 'date') return undefined
  if (Number.isNaN(Date.parse(expiry.date))) return 'Enter a date and a time.'
  return Date.parse(expireTime(expiry, now)!) <= now ? 'Choose a time in the future.' : undefined
}

function wrongMetadata({ metadata }: Draft): string | undefined {
  const names = metadata.filter((row) => row.name !== '' || row.value !== '').map((row) => row.name)
  const bad = names.find((name) => !metadataName.test(name))
  if (bad !== undefined) return `“${bad}” is not a name: 1 to 64 letters, digits, and . _ -`
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  return twice === undefined ? undefined : `“${twice}” is there twice.`
}

/** wrongAgent says why a text is not the id of an agent; undefined if it may be one. */
export function wrongAgent(id: string): string | undefined {
  if ([...id].length > maxAgentLength) return `is longer than ${maxAgentLength} characters`
  return controls.test(id) ? 'has control or format characters' : undefined
}

const apiFields: Record<string, Field> = {
  name: 'name',
  description: 'description',
  external_id: 'owner',
  scopes: 'scopes',
  agent_ids: 'agentIds',
  all_agents: 'agentIds',
  expire_time: 'expiry',
  metadata: 'metadata',
}

/** wrongByApi sorts the violations of an error to the fields of the form. What belongs to no field is left out. */
export function wrongByApi(error: ApiError, draft: Draft): Wrong {
  const wrong: Wrong = {}
  for (const { field, description } of error.fields) {
    const match = /^key\.([a-z_]+)(?:\[(.*)\])?/.exec(field)
    const name = apiFields[match?.[1] ?? '']
    if (!name || wrong[name]) continue
    const item =
      name === 'agentIds' ? draft.agentIds[Number(match?.[2])] : name === 'scopes' ? draft.scopes[Number(match?.[2])] : undefined
    wrong[name] = item === undefined ? description : `${item}: ${description}`
  }
  return wrong
}

/** without returns what is still wrong after some fields were changed. */
export const without = (wrong: Wrong, fields: readonly Field[]): Wrong =>
  Object.fromEntries(Object.entries(wrong).filter(([field]) => !fields.includes(field as Field)))
