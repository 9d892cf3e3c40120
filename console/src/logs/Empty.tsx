// What stands in place of rows.
import { useCatalog } from '../catalog'
import type { LogKey } from '../api/types'
import { isolate } from '../format'
import { followLink, href, setQuery } from '../route'
import { useIsAdmin } from '../session/session'
import { CopyButton } from '../ui/CopyButton'
import { EmptyState } from '../ui/states'
import { activeFilters, noFilters, statuses, without, type FilterName, type Filters } from './filters'
import { describeRange } from './TimeFilter'

const names: Record<FilterName, string> = {
  status: 'Status',
  key: 'Key',
  endpoint: 'Search',
  code: 'Error code',
  method: 'Method',
  type: 'Agent type',
  agent: 'Agent',
  time: 'Time',
}

/** NoMatch says which filters hide the rows, and takes them away with one click. */
export function NoMatch({ filters, keys }: { filters: Filters; keys: ReadonlyMap<string, LogKey> }) {
  const active = activeFilters(filters)
  const values: Record<FilterName, string> = {
    status: statuses.find((s) => s.value === filters.status)?.label ?? '',
    key: keys.get(filters.key)?.keyName ?? filters.key,
    endpoint: filters.endpoint,
    code: filters.code,
    method: filters.method,
    type: filters.agentType,
    agent: filters.agentId,
    time: describeRange(filters.range),
  }
  return (
    <EmptyState title="No call matches">
      <p>{active.length === 1 ? 'Remove the filter to see more:' : 'Remove one of the filters to see more:'}</p>
      <div class="choices">
        {active.map((name) => (
          <button type="button" key={name} class="button" onClick={() => setQuery(without(name))}>
            {names[name]} {values[name] && <bdi class="shortened">{values[name]}</bdi>} ×
          </button>
        ))}
        {active.length > 1 && (
          <button type="button" class="button plain" onClick={() => setQuery(noFilters)}>
            Remove all
          </button>
        )}
      </div>
    </EmptyState>
  )
}

/** FirstCall shows a workspace without any row how to make its first call. */
export function FirstCall({ workspace }: { workspace: string }) {
  const isAdmin = useIsAdmin()
  const { agentTypes } = useCatalog()
  const command = firstCall(workspace, agentTypes[0]?.agentType ?? 'agent')
  return (
    <EmptyState title="No call has been made yet">
      <p>Every call that is checked with a key of this workspace is shown here. The first one appears by itself.</p>
      <ol>
        <li>
          Make a key
          {isAdmin && (
            <>
              {': '}
              <a href={href(workspace, 'api-keys', { create: '1' })} onClick={followLink}>
                Create key
              </a>
            </>
          )}
        </li>
        <li>
          Make a token for your backend: <code class="mono">keytrail token create --role checker --workspace {workspace}</code>
        </li>
        <li>Check a call:</li>
      </ol>
      <CallToPaste command={command} />
    </EmptyState>
  )
}

/** Waiting stands there while the calls of a key are watched that has none yet. */
export function Waiting({ workspace, name }: { workspace: string; name: string }) {
  const { agentTypes } = useCatalog()
  const token = `TOKEN=$(keytrail token create --role checker --workspace ${workspace})`
  return (
    <EmptyState title={`Waiting for a call with ${isolate(name)}`}>
      <p>It appears by itself as soon as it is checked. Try one:</p>
      <CallToPaste command={`${token}\n${firstCall(workspace, agentTypes[0]?.agentType ?? 'agent')}`} />
    </EmptyState>
  )
}

function CallToPaste({ command }: { command: string }) {
  return (
    <>
      <pre class="code" tabIndex={0}>
        {command}
      </pre>
      <CopyButton text={command} what="first call" class="button" />
    </>
  )
}

function firstCall(workspace: string, agentType: string): string {
  return [
    `curl ${location.origin}/v1/check \\`,
    `  -H "Authorization: Bearer $TOKEN" \\`,
    `  -d '{"apiKey": "sk_YOUR_KEY", "workspaceId": "${workspace}",`,
    `       "agentType": "${agentType}", "agentId": "support-bot",`,
    `       "method": "POST", "endpoint": "/v1/agents/support-bot"}'`,
  ].join('\n')
}
