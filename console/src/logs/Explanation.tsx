// What is wrong with a denied call, and how to fix it.
import { useAgentLabel, useExplain } from '../catalog'
import type { LogKey, RequestLog } from '../api/types'
import { followLink } from '../route'
import { useIsAdmin } from '../session/session'
import { fixesOf } from './fix'

/** Explanation says message and fix of a row's error code; whoever may fix it gets links to where. */
export function Explanation({ row, logKey }: { row: RequestLog; logKey: LogKey | undefined }) {
  const explain = useExplain()
  const isAdmin = useIsAdmin()
  const found = explain(row.errorCode, row.cause)
  return (
    <>
      <p class="what">{found?.message ?? `The call was denied with ${row.errorCode}.`}</p>
      {found && <p class="quiet">{found.fix}.</p>}
      <Missing row={row} />
      {row.keyId !== '' && logKey?.exists === false && <p class="quiet">This key has been deleted since.</p>}
      {isAdmin && (
        <div class="fixes">
          {fixesOf(row, logKey).map(({ label, address }) => (
            <a key={label} class="button" href={address} onClick={followLink}>
              <bdi>{label}</bdi>
            </a>
          ))}
        </div>
      )}
    </>
  )
}

// Missing names what the key would need.
function Missing({ row }: { row: RequestLog }) {
  const label = useAgentLabel()
  if (row.errorCode === 'scope_denied') {
    return (
      <p class="quiet">
        Missing scope: <b>{label(row.agentType)}</b>
      </p>
    )
  }
  if (row.errorCode !== 'agent_denied' || row.agentId === '' || row.cause !== '') return null
  return (
    <p class="quiet">
      Missing agent: <b class="data breakable">{row.agentId}</b>
    </p>
  )
}
