// The page of API keys: the list with its search and filters, and what opens over it.
import '../styles/keys.css'
import { useEffect, useRef, useState } from 'preact/hooks'
import { cameFrom, type Route } from '../route'
import { useIsAdmin } from '../session/session'
import { lazy } from '../ui/lazy'
import { EmptyState } from '../ui/states'
import { toast } from '../ui/toast'
import { createId, Head } from './Head'
import { List } from './List'
import { BackNote, NoSuchKey } from './notes'
import { nameId } from './Row'
import { useKeys } from './useKeys'
import { useLastUse } from './useLastUse'
import { useLinkedKey } from './useLinkedKey'
import { useOpened } from './useOpened'

const loadDialogs = () => import('./dialogs/Dialogs').then((m) => m.Dialogs)
const Dialogs = lazy(loadDialogs)

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
  const linked = useLinkedKey(workspace, query.get('key') || query.get('enable') || '', all)
  const { opened, open, close, actions } = useOpened(query, linked.key)
  const request = useRef(requestAddress(workspace))
  const [done, setDone] = useState('')
  // The dialogs are there when they are needed, also while the service is away.
  useEffect(() => {
    if (all.complete) loadDialogs().catch(() => undefined)
  }, [all.complete])
  const openedKey = opened && 'key' in opened ? opened.key.id : ''
  return (
    <div class="keys-page">
      <Head />
      {done && <BackNote text={done} address={request.current} />}
      {linked.error && <NoSuchKey error={linked.error} dismiss={close} />}
      <List all={all} use={use} actions={actions} admin={admin} query={query} />
      {opened && (
        <Dialogs
          opened={opened}
          workspace={workspace}
          use={use}
          put={all.put}
          remove={all.remove}
          open={open}
          close={close}
          edit={actions.edit}
          mayChange={admin}
          onDone={(text) => (request.current ? setDone(text) : toast(text))}
          finalFocus={() => document.getElementById(nameId(openedKey)) ?? document.getElementById(createId)}
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
