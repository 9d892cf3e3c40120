import type { Key } from '../api/types'
import { Dots } from '../ui/icons'
import { KeyName } from '../ui/KeyName'
import { Menu } from '../ui/popups'
import { agentAccess, Expires, KeyState, LastUsed, Scopes } from './cells'
import type { LastUse } from './useLastUse'
import type { MenuItem } from '../ui/popups/menu'

const scopesShown = 2 // that have room in the column

export interface RowProps {
  apiKey: Key
  use: LastUse
  wanted: string
  selected: boolean
  /** The position in the table, from 1; the heading is 1. */
  index: number
  onOpen: (key: Key) => void
  menu: (key: Key) => MenuItem[]
}

/** nameId is the id of the button that opens a key. */
export const nameId = (keyId: string): string => `key-${keyId}`

export function Row({ apiKey, use, wanted, selected, index, onOpen, menu }: RowProps) {
  return (
    <div
      role="row"
      class={selected ? 'key-row selected' : 'key-row'}
      aria-rowindex={index}
      data-key={apiKey.id}
      onClick={() => onOpen(apiKey)}
    >
      <span role="cell" class="name" title={apiKey.name}>
        <button type="button" id={nameId(apiKey.id)} class="open">
          <KeyName name={apiKey.name} last4={apiKey.last4} wanted={wanted} />
        </button>
      </span>
      <span role="cell" class="scopes">
        <Scopes scopes={apiKey.scopes} most={scopesShown} />
      </span>
      <span role="cell" class="agents">
        {agentAccess(apiKey)}
      </span>
      <span role="cell" class={apiKey.externalId ? 'owner mono data' : 'owner none'} title={apiKey.externalId}>
        {apiKey.externalId || <span class="faint">–</span>}
      </span>
      <span role="cell" class="used">
        <LastUsed apiKey={apiKey} use={use} />
      </span>
      <span role="cell" class="expires">
        <Expires apiKey={apiKey} />
      </span>
      <span role="cell" class="state">
        <KeyState apiKey={apiKey} />
      </span>
      <span role="cell" class="more" onClick={(event) => event.stopPropagation()}>
        <Menu trigger={<Dots />} triggerClass="button icon plain" label={`Actions for ${apiKey.name}`} items={menu(apiKey)} />
      </span>
    </div>
  )
}
