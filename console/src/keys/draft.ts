// What a form holds of a key, and what of it has changed.
import type { Key, KeyInput, KeyPatch } from '../api/types'

const day = 86_400_000

/** When a key expires: never, after some days, or at a local time as `<input type="datetime-local">` has it. */
export interface Expiry {
  kind: 'never' | '30' | '90' | '365' | 'date'
  date: string
}

export interface MetadataRow {
  name: string
  value: string
}

export interface Draft {
  name: string
  description: string
  owner: string
  scopes: readonly string[]
  allAgents: boolean
  agentIds: readonly string[]
  expiry: Expiry
  metadata: readonly MetadataRow[]
}

export type Field = keyof Omit<Draft, 'allAgents'>
export type Wrong = Partial<Record<Field, string>>

export const emptyDraft: Draft = {
  name: '',
  description: '',
  owner: '',
  scopes: [],
  allAgents: true,
  agentIds: [],
  expiry: { kind: 'never', date: '' },
  metadata: [],
}

export function draftOf(key: Key): Draft {
  return {
    name: key.name,
    description: key.description,
    owner: key.externalId,
    scopes: key.scopes,
    allAgents: key.allAgents,
    agentIds: key.agentIds,
    expiry: key.expireTime ? { kind: 'date', date: localMinute(new Date(key.expireTime)) } : { kind: 'never', date: '' },
    metadata: Object.entries(key.metadata).map(([name, value]) => ({ name, value })),
  }
}

/** localMinute writes a time as `<input type="datetime-local">` has it. */
export function localMinute(time: Date): string {
  const two = (n: number) => String(n).padStart(2, '0')
  const date = `${String(time.getFullYear()).padStart(4, '0')}-${two(time.getMonth() + 1)}-${two(time.getDate())}`
  return `${date}T${two(time.getHours())}:${two(time.getMinutes())}`
}

/** expireTime returns when a key with this expiry ends; undefined for never. */
export function expireTime(expiry: Expiry, now: number): string | undefined {
  if (expiry.kind === 'never') return undefined
  const time = expiry.kind === 'date' ? new Date(expiry.date) : new Date(now + Number(expiry.kind) * day)
  return time.toISOString()
}

/** inputOf returns the key to create. */
export function inputOf(draft: Draft, now: number): KeyInput {
  const end = expireTime(draft.expiry, now)
  return {
    name: draft.name.trim(),
    description: draft.description,
    externalId: draft.owner,
    scopes: [...draft.scopes],
    ...(draft.allAgents ? { allAgents: true } : { agentIds: [...draft.agentIds] }),
    metadata: metadataOf(draft),
    ...(end && { expireTime: end }),
  }
}

const metadataOf = (draft: Draft) => Object.fromEntries(draft.metadata.filter(notBlank).map((row) => [row.name, row.value]))
const notBlank = (row: MetadataRow) => row.name !== '' || row.value !== ''

/** changedFields returns the fields in which two drafts differ. */
export const changedFields = (from: Draft, to: Draft): Field[] =>
  (Object.keys(comparable) as Field[]).filter((field) => comparable[field](from) !== comparable[field](to))

// Each field as a text that is equal if the field is.
const comparable: Record<Field, (draft: Draft) => string> = {
  name: (d) => d.name.trim(),
  description: (d) => d.description,
  owner: (d) => d.owner,
  scopes: (d) => JSON.stringify(d.scopes.toSorted()),
  agentIds: (d) => (d.allAgents ? 'all' : JSON.stringify(d.agentIds)),
  expiry: (d) => (d.expiry.kind === 'date' ? d.expiry.date : d.expiry.kind),
  metadata: (d) => JSON.stringify(Object.entries(metadataOf(d)).toSorted()),
}

/** patchOf returns a change of some fields, and its mask. */
export function patchOf(draft: Draft, fields: readonly Field[], now: number): { patch: KeyPatch; mask: string[] } {
  const input = inputOf(draft, now)
  const names: Record<Field, keyof KeyInput> = {
    name: 'name',
    description: 'description',
    owner: 'externalId',
    scopes: 'scopes',
    metadata: 'metadata',
    expiry: 'expireTime',
    agentIds: draft.allAgents ? 'allAgents' : 'agentIds',
  }
  const mask = fields.map((field) => names[field])
  return { patch: Object.fromEntries(Object.entries(input).filter(([name]) => mask.includes(name as keyof KeyInput))), mask }
}

/** rebase carries the changes that a user has made to `from` over to a newer state of the key. */
export function rebase(draft: Draft, from: Draft, onto: Draft): Draft {
  const mine = changedFields(from, draft)
  const kept = Object.fromEntries(mine.map((field) => [field, draft[field]]))
  return { ...onto, ...kept, ...(mine.includes('agentIds') && { allAgents: draft.allAgents }) }
}
