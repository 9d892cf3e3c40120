// All fields of one call, beside the list.
import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import { useAgentLabel } from '../catalog'
import type { LogKey, RequestLog } from '../api/types'
import { count, latency, localExact, utc } from '../format'
import { setQuery } from '../route'
import { CopyButton } from '../ui/CopyButton'
import { Cross, Funnel } from '../ui/icons'
import { Ago } from '../ui/Time'
import { Explanation } from './Explanation'
import { KeyName } from '../ui/KeyName'
import { CallStatus } from './Row'

export interface PanelProps {
  row: RequestLog
  logKey: LogKey | undefined
  onClose: () => void
  /** Goes to a row beside it; undefined where there is none. */
  onNewer: (() => void) | undefined
  onOlder: (() => void) | undefined
}

export function Panel({ row, logKey, onClose, onNewer, onOlder }: PanelProps) {
  const time = new Date(row.time)
  return (
    <>
      <div class="panel-head">
        <h2>
          <CallStatus row={row} />
          {row.errorCode && <span class="chip">{row.errorCode}</span>}
        </h2>
        <button
          type="button"
          class="button icon plain"
          aria-label="Newer call"
          title="Newer (k)"
          disabled={!onNewer}
          onClick={onNewer}
        >
          ↑
        </button>
        <button
          type="button"
          class="button icon plain"
          aria-label="Older call"
          title="Older (j)"
          disabled={!onOlder}
          onClick={onOlder}
        >
          ↓
        </button>
        <button type="button" class="button icon plain" aria-label="Close" title="Close (Esc)" onClick={onClose}>
          <Cross />
        </button>
      </div>
      <p class="when figures">
        {localExact(time)} · <Ago value={time} />
      </p>
      {row.errorCode && (
        <div class="fix">
          <Explanation row={row} logKey={logKey} />
        </div>
      )}
      {row.status === 0 && <p class="note">The call was allowed. Its status and latency follow when it is reported.</p>}
      <Fields row={row} logKey={logKey} />
    </>
  )
}

function Fields({ row, logKey }: { row: RequestLog; logKey: LogKey | undefined }) {
  const label = useAgentLabel()
  const deleted = logKey?.exists === false
  return (
    <dl>
      <Field name="API key" what="key id" copy={row.keyId} filter={row.keyId ? { key: row.keyId } : undefined}>
        {row.keyId ? <KeyName name={row.keyName} last4={row.keyLast4} /> : <span class="faint">No key</span>}
        {deleted && <span class="tag">deleted</span>}
      </Field>
      <Field name="Endpoint" copy={row.endpoint} filter={{ endpoint: cut(row.endpoint) }} mono>
        {row.endpoint}
      </Field>
      <Field name="Method" copy={row.method} filter={{ method: row.method }} mono>
        {row.method}
      </Field>
      <Field name="Agent type" copy={row.agentType} filter={{ type: row.agentType }}>
        {label(row.agentType)}
      </Field>
      <Field name="Agent" copy={row.agentId} filter={{ agent: row.agentId }} mono>
        {row.agentId}
      </Field>
      <Field name="Status" filter={{ status: statusClass(row) }}>
        {row.status || 'In progress'}
      </Field>
      <Field name="Error code" copy={row.errorCode} filter={{ code: row.errorCode }} mono>
        {row.errorCode}
      </Field>
      <Field name="Cause" copy={row.cause} mono>
        {row.cause}
      </Field>
      <Field name="Latency">{row.latencyMs === undefined ? '' : latency(row.latencyMs)}</Field>
      <Field name="Calls">{row.callCount > 1 ? `${count(row.callCount)}, counted in one row` : ''}</Field>
      <Field name="Owner" copy={row.externalId}>
        {row.externalId}
      </Field>
      <Field name="Request id" copy={row.id} mono>
        {row.id}
      </Field>
      <Field name="UTC" what="time" copy={row.time}>
        <span class="figures">{utc(new Date(row.time))}</span>
      </Field>
    </dl>
  )
}

interface FieldProps {
  name: string
  children: ComponentChildren
  /** The text to copy. */
  copy?: string
  /** What is copied, where it is not the field itself. */
  what?: string
  /** The query that filters by this value. */
  filter?: Record<string, string> | undefined
  mono?: boolean
}

// Field shows nothing where the call has no value.
function Field({ name, children, copy, what = name, filter, mono }: FieldProps) {
  if (children === '') return null
  const filterable = filter && Object.values(filter).every((value) => value !== '')
  return (
    <div class="field-row">
      <dt>{name}</dt>
      <dd>
        <div class={mono ? 'value mono data' : 'value data'}>
          {typeof children === 'string' ? <Long text={children} /> : children}
        </div>
        <div class="field-actions">
          {filterable && (
            <button
              type="button"
              class="button icon plain"
              aria-label={`Filter by this ${name.toLowerCase()}`}
              title="Filter by this"
              onClick={() => setQuery(filter)}
            >
              <Funnel />
            </button>
          )}
          {copy && <CopyButton text={copy} what={what.toLowerCase()} icon />}
        </div>
      </dd>
    </div>
  )
}

const seenAtFirst = 200 // characters

// Long shows the beginning of a long text, and all of it on demand.
function Long({ text }: { text: string }) {
  const [all, setAll] = useState(false)
  if (all || text.length <= seenAtFirst * 1.2) return <>{text}</>
  return (
    <>
      {text.slice(0, seenAtFirst)}…{' '}
      <button type="button" class="link" onClick={() => setAll(true)}>
        Show all
      </button>
    </>
  )
}

// The filter takes 256 bytes.
function cut(endpoint: string): string {
  const bytes = new Uint8Array(256)
  const { read } = new TextEncoder().encodeInto(endpoint, bytes) // whole characters only
  return endpoint.slice(0, read)
}

function statusClass(row: RequestLog): string {
  if (row.status === 0) return 'in_progress'
  const name = `${Math.floor(row.status / 100)}xx`
  return ['2xx', '4xx', '5xx'].includes(name) ? name : ''
}
