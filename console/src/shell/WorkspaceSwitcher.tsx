import { useEffect, useState } from 'preact/hooks'
import { api, ok } from '../api/client'
import { aborted } from '../api/error'
import { href, navigate, type Page } from '../route'
import { useSession } from '../session/session'
import { Chevron } from '../ui/icons'
import { Picker } from '../ui/popups'
import { toast } from '../ui/toast'

const idPattern = /^(_unattributed|[a-z0-9][a-z0-9_-]{0,62})$/

/** WorkspaceSwitcher shows the workspace and offers the others. Tokens for all workspaces may name one that is not listed. */
export function WorkspaceSwitcher({ current, page }: { current: string; page: Page }) {
  const session = useSession()
  const { ids, more, loadMore } = useWorkspaces()
  if (session && !session.allWorkspaces && ids.length <= 1 && ids.includes(current))
    return (
      <div class="workspace only" title={current}>
        <span>{current}</span>
      </div>
    )
  const listed = ids.includes(current) || current === '' ? ids : [current, ...ids]
  const choices = listed.map((id) =>
    id === '_unattributed' ? { value: id, label: id, detail: 'calls of no workspace' } : { value: id, label: id },
  )
  return (
    <Picker
      title="Workspace"
      label={`Workspace: ${current}`}
      triggerClass="workspace"
      trigger={
        <>
          <span>{current || 'Choose a workspace'}</span>
          <Chevron />
        </>
      }
      choices={choices}
      value={current}
      onChoose={(id) => navigate(href(id, page))}
      searchHint={session?.allWorkspaces ? 'Search or type an id' : 'Search'}
      ownValue={session?.allWorkspaces ? (text) => (idPattern.test(text) ? `Go to ${text}` : undefined) : undefined}
      footer={
        more && (
          <button type="button" class="button plain" onClick={loadMore}>
            More workspaces
          </button>
        )
      }
    />
  )
}

// useWorkspaces returns the workspaces of the session. The first page came with it.
function useWorkspaces() {
  const session = useSession()
  const [ids, setIds] = useState<string[]>([])
  const [next, setNext] = useState('')
  useEffect(() => {
    setIds(session?.workspaceIds ?? [])
    setNext(session?.nextPageToken ?? '')
  }, [session])
  const loadMore = () =>
    ok(api.GET('/v1/session', { params: { query: { pageSize: 1000, pageToken: next } } })).then(
      (page) => {
        setIds([...ids, ...page.workspaceIds])
        setNext(page.nextPageToken)
      },
      (error: unknown) => aborted(error) || toast('More workspaces cannot be loaded now.'),
    )
  return { ids, more: next !== '', loadMore }
}
