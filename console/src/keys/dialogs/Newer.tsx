import { plural } from '../../format'
import type { Draft, Field } from '../draft'
import { fieldLabels } from '../form/KeyForm'

export interface NewerProps {
  /** What somebody else has changed. */
  fields: readonly Field[]
  /** What the user has changed. */
  mine: readonly Field[]
  /** The key as somebody else has left it. */
  theirs: Draft
}

/** Newer says what somebody else has changed since the user began, and what becomes of it. */
export function Newer({ fields, mine, theirs }: NewerProps) {
  const taken = fields.filter((field) => !mine.includes(field))
  const both = fields.filter((field) => mine.includes(field))
  return (
    <div class="note warning" role="alert">
      <span>
        The key was changed meanwhile.
        {taken.length > 0 && ` Newer values are shown: ${taken.map(nameOf).join(', ')}.`} Save again to apply your changes.
        {both.map((field) => (
          <span class="theirs" key={field}>
            Saving replaces the newer {nameOf(field)}: <bdi>{describe[field](theirs) || 'empty'}</bdi>
          </span>
        ))}
      </span>
    </div>
  )
}

const nameOf = (field: Field): string => fieldLabels[field].toLowerCase()

const describe: Record<Field, (draft: Draft) => string> = {
  name: (d) => d.name,
  description: (d) => d.description,
  owner: (d) => d.owner,
  scopes: (d) => d.scopes.join(', '),
  agentIds: (d) => (d.allAgents ? 'all agents' : plural(d.agentIds.length, 'agent')),
  expiry: (d) => (d.expiry.kind === 'never' ? 'never' : d.expiry.date.replace('T', ' ')),
  metadata: (d) => d.metadata.map((row) => `${row.name}: ${row.value}`).join(', '),
}
