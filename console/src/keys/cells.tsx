// What the list and the details show of a key.
import { useAgentLabel } from '../catalog'
import { ago, date, localExact, plural, span, utcExact } from '../format'
import type { Key } from '../api/types'
import { Status, type Tone } from '../ui/Status'
import { useNow } from '../ui/Time'
import { justExpired, oldSecretEnd, stateOf, type State } from './keyState'
import type { LastUse } from './useLastUse'

const words: Record<State, { label: string; tone: Tone }> = {
  enabled: { label: 'Enabled', tone: 'success' },
  soon: { label: 'Expires soon', tone: 'client-error' },
  expired: { label: 'Expired', tone: 'server-error' },
  disabled: { label: 'Disabled', tone: 'other' },
}

/** KeyState is the state of a key, and how long its old secret still passes. */
export function KeyState({ apiKey }: { apiKey: Key }) {
  const now = useNow()
  const { label, tone } = words[stateOf(apiKey, now)]
  const end = oldSecretEnd(apiKey, now)
  return (
    <>
      <Status tone={tone}>{label}</Status>
      {end && (
        <span class="tag" title={`The old secret passes until ${localExact(end)}`}>
          old secret ends in {span(end.getTime() - now)}
        </span>
      )}
    </>
  )
}

/** Scopes are the labels of the agent types of a key: `most` of them, and how many more there are. */
export function Scopes({ scopes, most = Infinity }: { scopes: readonly string[]; most?: number }) {
  const label = useAgentLabel()
  const more = scopes.slice(most).map(label)
  return (
    <>
      {scopes.slice(0, most).map((scope) => (
        <span class="tag data" key={scope}>
          {label(scope)}
        </span>
      ))}
      {more.length > 0 && (
        <span class="tag" title={more.join(', ')}>
          +{more.length}
        </span>
      )}
    </>
  )
}

export const agentAccess = (key: Key): string => (key.allAgents ? 'All agents' : plural(key.agentIds.length, 'agent'))

/** LastUsed says when a key was used last. The request logs do not know older calls. */
export function LastUsed({ apiKey, use }: { apiKey: Key; use: LastUse }) {
  const now = useNow()
  const time = use.times.get(apiKey.id)
  if (time) return <Moment time={time} show={ago(time, now)} />
  if (!use.known) return <span class="faint">–</span>
  if (now - Date.parse(apiKey.createTime) < use.retentionMs) return <span class="faint">Not yet</span>
  return <span class="faint">Not in the last {span(use.retentionMs)}</span>
}

/** Expires is the date when a key expires; how long that is, where it is near. */
export function Expires({ apiKey }: { apiKey: Key }) {
  const now = useNow()
  if (!apiKey.expireTime) return <span class="faint">Never</span>
  const time = new Date(apiKey.expireTime)
  const near = stateOf({ ...apiKey, disabled: false }, now) === 'soon' || justExpired(apiKey, now)
  return <Moment time={time} show={near ? ago(time, now) : date(time)} />
}

/** Moment is a time, which hovering shows exactly. */
export const Moment = ({ time, show }: { time: Date; show: string }) => (
  <time dateTime={time.toISOString()} title={`${localExact(time)} (${utcExact(time)})`}>
    {show}
  </time>
)
