import type { ComponentChildren } from 'preact'
import type { Key } from '../../api/types'
import { localExact } from '../../format'
import { followLink } from '../../route'
import { CopyButton } from '../../ui/CopyButton'
import { Dialog } from '../../ui/popups/dialog'
import { useNow } from '../../ui/Time'
import { agentAccess, Expires, KeyState, LastUsed, Moment, Scopes } from '../cells'
import { callsOf } from '../menu'
import type { LastUse } from '../useLastUse'
import type { DialogsProps } from './Dialogs'

/** DetailsDialog shows everything of a key. */
export function DetailsDialog({ apiKey, use, mayChange, edit, close, finalFocus }: DialogsProps & { apiKey: Key }) {
  return (
    <Dialog
      title={
        <>
          <bdi>{apiKey.name}</bdi> <span class="mono faint">····{apiKey.last4}</span>
        </>
      }
      onClose={close}
      finalFocus={finalFocus}
      initialFocus={() => document.getElementById('close-details')}
    >
      <Fields apiKey={apiKey} use={use} />
      <div class="actions">
        <a class="button" href={callsOf(apiKey)} onClick={followLink}>
          View calls
        </a>
        {mayChange && (
          <button type="button" class="button" onClick={() => edit(apiKey)}>
            Edit
          </button>
        )}
        <button type="button" id="close-details" class="button primary" onClick={close}>
          Close
        </button>
      </div>
    </Dialog>
  )
}

function Fields({ apiKey, use }: { apiKey: Key; use: LastUse }) {
  return (
    <dl class="details">
      <Item name="State">
        <KeyState apiKey={apiKey} />
      </Item>
      {apiKey.description && <Item name="Description">{apiKey.description}</Item>}
      <Item name="Id">
        <span class="mono">{apiKey.id}</span> <CopyButton text={apiKey.id} what="id" />
      </Item>
      <Item name="Scopes">
        <Scopes scopes={apiKey.scopes} />
      </Item>
      <Item name="Agent access">
        {agentAccess(apiKey)}
        {!apiKey.allAgents && <Agents ids={apiKey.agentIds} />}
      </Item>
      <Item name="Owner">
        {apiKey.externalId ? <span class="mono">{apiKey.externalId}</span> : <span class="faint">None</span>}
      </Item>
      <Item name="Last used">
        <LastUsed apiKey={apiKey} use={use} />
      </Item>
      <Item name="Expires">
        <Expires apiKey={apiKey} />
      </Item>
      <Item name="Secrets">
        <Secrets apiKey={apiKey} />
      </Item>
      <Item name="Created">{exact(apiKey.createTime)}</Item>
      <Item name="Changed">{exact(apiKey.updateTime)}</Item>
      {Object.entries(apiKey.metadata).map(([name, value]) => (
        <Item key={name} name={name}>
          <span class="metadata-value">{value}</span>
        </Item>
      ))}
    </dl>
  )
}

const Item = ({ name, children }: { name: string; children: ComponentChildren }) => (
  <>
    <dt class="data">{name}</dt>
    <dd class="data">{children}</dd>
  </>
)

const exact = (time: string) => <Moment time={new Date(time)} show={localExact(new Date(time)).slice(0, -4)} />

function Agents({ ids }: { ids: readonly string[] }) {
  return (
    <ul class="agent-ids" tabIndex={0} aria-label="Agents">
      {ids.map((id) => (
        <li key={id} class="mono data">
          {id}
        </li>
      ))}
    </ul>
  )
}

// Secrets lists the last 4 characters of each secret, and until when it passes.
function Secrets({ apiKey }: { apiKey: Key }) {
  const now = useNow()
  return (
    <ul class="secrets">
      {apiKey.secrets.map((secret, i) => (
        <li key={`${secret.last4} ${secret.createTime}`}>
          <span class="mono">····{secret.last4}</span>{' '}
          <span class="faint">
            {secret.expireTime
              ? `${Date.parse(secret.expireTime) > now ? 'ends' : 'ended'} ${localExact(new Date(secret.expireTime)).slice(0, -4)}`
              : i === 0
                ? 'the present one'
                : ''}
          </span>
        </li>
      ))}
    </ul>
  )
}
