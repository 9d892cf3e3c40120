import { useState } from 'preact/hooks'
import { setQuery } from '../route'
import { useIsAdmin } from '../session/session'
import type { Shortcuts } from '../ui/HelpDialog'
import { lazy } from '../ui/lazy'
import { useShortcuts } from '../ui/useShortcuts'

const HelpDialog = lazy(() => import('../ui/HelpDialog').then((m) => m.HelpDialog))
const shortcuts: Shortcuts = [
  [['/'], 'Search by name or last 4'],
  [['j'], 'Next key'],
  [['k'], 'Previous key'],
  [['Enter'], 'Open the key'],
  [['Esc'], 'Close what is open'],
  [['?'], 'This help'],
]

export const createId = 'create-key'

/** Head is the head of the page: what it shows, and the button that creates a key. */
export function Head() {
  const admin = useIsAdmin()
  const [help, setHelp] = useState(false)
  useShortcuts({ '?': () => setHelp(true) })
  return (
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
      {help && <HelpDialog shortcuts={shortcuts} onClose={() => setHelp(false)} />}
    </header>
  )
}
