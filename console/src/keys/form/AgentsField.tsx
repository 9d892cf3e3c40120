import { useState } from 'preact/hooks'
import { count, isolate, plural } from '../../format'
import { Cross } from '../../ui/icons'
import { maxAgents, wrongAgent } from '../validate'
import type { FieldProps } from './KeyForm'

/** AgentsField chooses which agents a key may call: all, or those of a list. */
export function AgentsField({ draft, onChange, invalid }: FieldProps) {
  const choose = (allAgents: boolean) => onChange({ ...draft, allAgents })
  return (
    <>
      <div class="boxes">
        <label class="choice">
          <input
            type="radio"
            name="agent-access"
            id={draft.allAgents ? 'field-agentIds' : undefined}
            checked={draft.allAgents}
            onChange={() => choose(true)}
          />
          All agents
        </label>
        <label class="choice">
          <input type="radio" name="agent-access" checked={!draft.allAgents} onChange={() => choose(false)} />
          Only these
        </label>
      </div>
      {!draft.allAgents && (
        <AgentList ids={draft.agentIds} onChange={(agentIds) => onChange({ ...draft, agentIds })} invalid={invalid} />
      )}
    </>
  )
}

interface AgentListProps {
  ids: readonly string[]
  onChange: (ids: readonly string[]) => void
  invalid: FieldProps['invalid']
}

function AgentList({ ids, onChange, invalid }: AgentListProps) {
  const [said, setSaid] = useState('')
  const add = (more: readonly string[]) => {
    const { added, message } = sort(ids, more)
    if (added.length > 0) onChange([...ids, ...added])
    setSaid(message)
  }
  return (
    <div class="agents-field">
      <AddAgent onAdd={add} invalid={invalid} />
      {ids.length > 0 && (
        <ul class="agent-ids" aria-label="Agents">
          {ids.map((id) => (
            <li key={id}>
              <span class="mono data">{id}</span>
              <button
                type="button"
                class="button icon plain"
                aria-label={`Remove ${isolate(id)}`}
                onClick={() => onChange(ids.filter((i) => i !== id))}
              >
                <Cross />
              </button>
            </li>
          ))}
        </ul>
      )}
      <div class="said">
        <span class="hint" role="status">
          {said || plural(ids.length, 'agent')}
        </span>
        {ids.length > 1 && (
          <button type="button" class="link" onClick={() => onChange([])}>
            Remove all
          </button>
        )}
      </div>
    </div>
  )
}

function AddAgent({ onAdd, invalid }: { onAdd: (ids: readonly string[]) => void; invalid: FieldProps['invalid'] }) {
  const [text, setText] = useState('')
  // What is typed is one id: it may hold any character. Only what is pasted is split.
  const addTyped = () => {
    if (text.trim() !== '') onAdd([text.trim()])
    setText('')
  }
  const onPaste = (event: ClipboardEvent) => {
    const pasted = (event.clipboardData?.getData('text') ?? '').split(/[\r\n\t,;]+/).map((id) => id.trim())
    const ids = pasted.filter((id) => id !== '')
    if (ids.length < 2) return
    event.preventDefault()
    onAdd(ids)
  }
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== 'Enter' || event.isComposing) return
    event.preventDefault()
    addTyped()
  }
  return (
    <div class="add">
      <input
        id="field-agentIds"
        class="input mono"
        aria-label="Agent id"
        placeholder="Agent id; paste a list to add many"
        autocomplete="off"
        spellcheck={false}
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
        onPaste={onPaste}
        onKeyDown={onKeyDown}
        onBlur={addTyped}
        {...invalid}
      />
      <button type="button" class="button" onClick={addTyped}>
        Add
      </button>
    </div>
  )
}

// sort takes the new and valid ids, as many as there is room for, and says what became of all.
function sort(ids: readonly string[], more: readonly string[]): { added: string[]; message: string } {
  const unique = [...new Set(more)].filter((id) => !ids.includes(id))
  const valid = unique.filter((id) => wrongAgent(id) === undefined)
  const added = valid.slice(0, maxAgents - ids.length)
  const bad = unique.find((id) => wrongAgent(id) !== undefined)
  const parts = [
    `${count(added.length)} added, ${plural(ids.length + added.length, 'agent')} now.`,
    more.length > unique.length && `${plural(more.length - unique.length, 'was', 'were')} there already.`,
    bad !== undefined && `${count(unique.length - valid.length)} left out: ${isolate(bad.slice(0, 40))} ${wrongAgent(bad)}.`,
    valid.length > added.length && `${count(valid.length - added.length)} left out: a list holds ${count(maxAgents)} at most.`,
  ]
  return { added, message: parts.filter(Boolean).join(' ') }
}
