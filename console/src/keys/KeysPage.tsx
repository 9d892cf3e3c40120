// The page of API keys: the list with its search and filters, and what opens over it.
import '../styles/keys.css'
import { useEffect, useRef, useState } from 'preact/hooks'
import type { ApiError } from '../api/error'
import type { Key } from '../api/types'
import { cameFrom, followLink, setQuery, type Route } from '../route'
import { useIsAdmin, useSession } from '../session/session'
import { lazy } from '../ui/lazy'
import { EmptyState, ErrorNote, useSlow } from '../ui/states'
import { useNow } from '../ui/Time'
import { useShortcuts } from '../ui/useShortcuts'
import type { Shortcuts } from '../ui/HelpDialog'
import { toast } from '../ui/toast'
import type { Opened } from './dialogs/Dialogs'
import { ExpiryNotice } from './ExpiryNotice'
import { Filters, searchId } from './Filters'
import { filtersOf, matching } from './keyState'
import { menuOf, type Actions } from './menu'
import { NoKeys, NoMatch } from './NoKeys'
import { nameId } from './Row'
import { Skeleton } from './Skeleton'
import { Table, type TableHandle } from './Table'
import { useKeys, type Keys } from './useKeys'
import { useLastUse, type LastUse } from './useLastUse'
import { useLinkedKey } from './useLinkedKey'

const loadDialogs = () => import('./dialogs/Dialogs').then((m) => m.Dialogs)
const Dialogs = lazy(loadDialogs)
const HelpDialog = lazy(() => import('../ui/HelpDialog').then((m) => m.HelpDialog))
const createId = 'create-key'
const shortcuts: Shortcuts = [
  [['/'], 'Search by name or last 4'],
  [['j'], 'Next key'],
  [['k'], 'Previous key'],
  [['Enter'], 'Open the key'],
  [['Esc'], 'Close what is open'],
  [['?'], 'This help'],
]

export function KeysPage({ route }: { route: Route }) {
  if (route.workspace !== '_unattributed') return <WorkspaceKeys route={route} />
  return (
    <EmptyState title="No keys here">
      <p>“_unattributed” holds the request logs of calls that belong to no workspace. It has no keys.</p>
    </EmptyState>
  )
}

function WorkspaceKeys({ route: { workspace, query } }: { route: Route }) {
  const all = useKeys(workspace)
  const use = useLastUse(workspace)
  const admin = useIsAdmin()
  const session = useSession()
  const linked = useLinkedKey(workspace, query.get('key') || query.get('enable') || '', all)
  const [opened, setOpened] = useState<Opened>()
  // The dialogs are there when they are needed, also while the service is away.
  useEffect(() => {
    if (all.complete) loadDialogs().catch(() => undefined)
  }, [all.complete])
  const [done, setDone] = useState('')
  const request = useRef(requestAddress(workspace))
  const table = useRef<TableHandle>(null)
  const [help, setHelp] = useState(false)
  useShortcuts({
    '/': () => document.getElementById(searchId)?.focus(),
    j: () => table.current?.move(1),
    k: () => table.current?.move(-1),
    '?': () => setHelp(true),
  })
  const actions: Actions = {
    details: (key) => setQuery({ key: key.id }),
    edit: (key) => setQuery({ key: key.id, edit: 'name' }),
    rotate: (key, graceSeconds) => setOpened({ kind: 'rotate', key, graceSeconds }),
    toggle: (key) => setOpened({ kind: 'toggle', key }),
    remove: (key) => setOpened({ kind: 'delete', key }),
  }
  const shown = opened ?? (session && fromAddress(query, linked.key, admin))
  // What is open by a click is not in the address: a reload must not do it again.
  const open = (next: Opened | undefined) => {
    setOpened(next)
    setQuery({ key: '', edit: '', enable: '', create: '' }, 'replace')
  }
  const close = () => open(undefined)
  return (
    <div class="keys-page">
      <header class="page-head">
        <div>
          <h1>API Keys</h1>
          <p>Keys that may call your agents. A secret is shown once, when it is made.</p>
        </div>
        {admin && (
          <button type="button" id={createId} class="button primary" onClick={() => setQuery({ create: '1' })}>
            Create key
          </button>
        )}
        <button
          type="button"
          class="button icon plain help"
          aria-label="Keyboard help"
          title="Keyboard (?)"
          onClick={() => setHelp(true)}
        >
          ?
        </button>
      </header>
      {done && <BackNote text={done} address={request.current} />}
      {linked.error && <NoSuchKey error={linked.error} dismiss={close} />}
      <List all={all} use={use} actions={actions} admin={admin} query={query} table={table} />
      {help && <HelpDialog shortcuts={shortcuts} onClose={() => setHelp(false)} />}
      {shown && (
        <Dialogs
          opened={shown}
          workspace={workspace}
          use={use}
          put={all.put}
          remove={all.remove}
          open={open}
          close={close}
          edit={actions.edit}
          mayChange={admin}
          onDone={(text) => (request.current ? setDone(text) : toast(text))}
          finalFocus={() => document.getElementById(nameId(keyOf(shown)?.id ?? '')) ?? document.getElementById(createId)}
        />
      )}
    </div>
  )
}

// requestAddress returns where a fix began: a call in the request logs.
function requestAddress(workspace: string): string {
  const from = cameFrom()
  return from.startsWith(`/workspaces/${encodeURIComponent(workspace)}/request-logs?`) ? from : ''
}

// fromAddress returns what the address opens: see console/README.md.
function fromAddress(query: URLSearchParams, key: Key | undefined, admin: boolean): Opened | undefined {
  if (admin && query.has('create')) return { kind: 'create' }
  if (!key) return undefined
  if (admin && query.has('enable') && key.disabled) return { kind: 'toggle', key }
  if (admin && query.has('edit')) return { kind: 'edit', key, field: query.get('edit')! }
  return { kind: 'details', key }
}

const keyOf = (opened: Opened): Key | undefined => ('key' in opened ? opened.key : undefined)

function BackNote({ text, address }: { text: string; address: string }) {
  return (
    <div class="note page-note" role="status">
      <span>{text}</span>
      <a class="link" href={address} onClick={followLink}>
        Back to the request
      </a>
    </div>
  )
}

function NoSuchKey({ error, dismiss }: { error: ApiError; dismiss: () => void }) {
  const gone = error.reason === 'KEY_NOT_FOUND'
  return (
    <div class={gone ? 'note' : 'note error'} role="alert">
      <span>{gone ? 'The key of this address was deleted.' : `The key of this address cannot be shown: ${error.message}`}</span>
      <button type="button" class="link" onClick={dismiss}>
        Dismiss
      </button>
    </div>
  )
}

interface ListProps {
  all: Keys
  use: LastUse
  actions: Actions
  admin: boolean
  query: URLSearchParams
  table: { current: TableHandle | null }
}

function List({ all, use, actions, admin, query, table }: ListProps) {
  const now = useNow(60_000)
  const filters = filtersOf(query)
  const found = matching(all.keys, filters, now)
  const loading = all.keys.length === 0 && !all.complete && !all.error
  const slow = useSlow(loading)
  if (all.complete && all.keys.length === 0) return <NoKeys mayCreate={admin} />
  return (
    <>
      {all.error && <ErrorNote error={all.error} what="The keys cannot be loaded" since={all.since} retry={all.reload} />}
      {all.complete && <ExpiryNotice keys={all.keys} />}
      {(slow || all.keys.length > 0) && <Filters values={filters} all={all} found={found.length} />}
      {slow && <Skeleton />}
      {found.length > 0 && (
        <Table
          keys={found}
          use={use}
          wanted={filters.text.trim()}
          selected={query.get('key') ?? ''}
          onOpen={admin ? actions.edit : actions.details}
          menu={(key) => menuOf(key, actions, admin)}
          handle={table}
        />
      )}
      {all.complete && found.length === 0 && <NoMatch filters={filters} />}
    </>
  )
}
