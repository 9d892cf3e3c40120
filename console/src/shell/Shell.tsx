// The frame of every page: the workspace, the pages, and whose token it is.
import type { ComponentChildren } from 'preact'
import { span } from '../format'
import { followLink, href, type Page, type Route } from '../route'
import { useSession } from '../session/session'
import { endSession } from '../session/token'
import { Logo } from '../ui/icons'
import { Menu } from '../ui/popups'
import { useNow } from '../ui/Time'
import { WorkspaceSwitcher } from './WorkspaceSwitcher'

const pages: ReadonlyArray<{ page: Page; title: string }> = [
  { page: 'request-logs', title: 'Request Logs' },
  { page: 'api-keys', title: 'API Keys' },
]

// Calls of no workspace are of no workspace's keys.
const pagesOf = (workspace: string) => pages.filter(({ page }) => page !== 'api-keys' || workspace !== '_unattributed')

export function Shell({ route, children }: { route: Route; children: ComponentChildren }) {
  return (
    <div class="shell">
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <nav class="side" aria-label="Console">
        <div class="brand">
          <Logo />
          <span>Keytrail</span>
        </div>
        <WorkspaceSwitcher current={route.workspace} page={route.page} />
        {route.workspace !== '' && <Pages route={route} />}
        <Account />
      </nav>
      <main id="main" tabIndex={-1}>
        {children}
      </main>
    </div>
  )
}

function Pages({ route }: { route: Route }) {
  return (
    <div class="pages">
      <h2 class="section" id="developer">
        Developer
      </h2>
      <ul aria-labelledby="developer">
        {pagesOf(route.workspace).map(({ page, title }) => (
          <li key={page}>
            <a href={href(route.workspace, page)} onClick={followLink} aria-current={route.page === page ? 'page' : undefined}>
              {title}
            </a>
          </li>
        ))}
      </ul>
    </div>
  )
}

function Account() {
  const session = useSession()
  const now = useNow()
  if (!session) return <div class="account" />
  const left = new Date(session.expireTime).getTime() - now
  return (
    <div class="account">
      <p>
        Signed in as {session.role} <span class="separator-dot">·</span> <span class="ends">token ends in {span(left)}</span>
      </p>
      <Menu
        trigger="Account"
        triggerClass="button plain account-menu"
        items={[{ value: 'out', label: 'Sign out', detail: `ends in ${span(left)}`, onSelect: () => endSession('left') }]}
      />
      <button type="button" class="link sign-out" onClick={() => endSession('left')}>
        Sign out
      </button>
    </div>
  )
}
