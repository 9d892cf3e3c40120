import { useEffect, useState } from 'preact/hooks'
import { href, navigate } from '../../route'
import { CopyButton } from '../../ui/CopyButton'
import { Dialog } from '../../ui/popups/dialog'
import { Tabs } from '../../ui/popups/tabs'
import { shorten, snippetsFor } from '../snippets'
import type { DialogsProps, Opened } from './Dialogs'

export interface SecretDialogProps extends DialogsProps {
  opened: Extract<Opened, { kind: 'secret' }>
}

/**
 * SecretDialog shows a new secret, once: it is in the memory of this component alone, and gone when the dialog closes. The dialog
 * closes by its buttons only, and asks if the secret was not copied.
 */
export function SecretDialog({ opened, close, finalFocus }: SecretDialogProps) {
  const { key, secret, rotated } = opened
  const [copied, setCopied] = useState(false)
  const [leaving, setLeaving] = useState<(() => void) | undefined>()
  useWarning(!copied)
  const leave = (then: () => void) => (copied ? then() : setLeaving(() => then))
  const watch = () => {
    close()
    navigate(href(key.workspaceId, 'request-logs', { key: key.id, live: '1' }))
  }
  return (
    <Dialog
      title={
        <>
          <bdi>{key.name}</bdi> {rotated ? 'has a new secret' : 'is ready'}
        </>
      }
      about="Copy the secret now. It will not be shown again."
      onClose={close}
      firm
      finalFocus={finalFocus}
      initialFocus={() => document.querySelector('.secret button')}
    >
      <div class="secret">
        <code class="mono" aria-label="Secret" onCopy={() => setCopied(true)}>
          {secret}
        </code>
        <CopyButton text={secret} what="secret" class="button primary" onCopy={() => setCopied(true)} />
      </div>
      <p class="quiet how">
        Callers send it in the header <code class="mono">api-key</code>. Your backend checks each call here. Try one:
      </p>
      <FirstCall opened={opened} onCopy={() => setCopied(true)} />
      {leaving && !copied && (
        <div class="note warning leave" role="alert">
          <span>You have not copied the secret. Without it the key is of no use.</span>
          <button type="button" class="button" onClick={leaving}>
            Close without it
          </button>
        </div>
      )}
      <div class="actions">
        <button type="button" class="button" onClick={() => leave(watch)}>
          Watch its calls
        </button>
        <button type="button" class="button primary" onClick={() => leave(close)}>
          Done
        </button>
      </div>
    </Dialog>
  )
}

function FirstCall({ opened: { key, secret }, onCopy }: { opened: SecretDialogProps['opened']; onCopy: () => void }) {
  const shown = snippetsFor(key, shorten(secret), location.origin)
  const whole = snippetsFor(key, secret, location.origin)
  return (
    <Tabs
      label="Languages"
      items={shown.map(({ language, text }, i) => ({
        value: language,
        label: language,
        content: (
          <div class="snippet">
            <pre class="code" tabIndex={0} aria-label={`First call in ${language}`}>
              {text}
            </pre>
            <CopyButton text={whole[i]!.text} what={`the ${language} call`} class="button" onCopy={onCopy} />
          </div>
        ),
      }))}
    />
  )
}

// useWarning lets the browser ask before a reload or the end of the tab.
function useWarning(on: boolean): void {
  useEffect(() => {
    if (!on) return
    const listener = (event: BeforeUnloadEvent) => event.preventDefault()
    addEventListener('beforeunload', listener)
    return () => removeEventListener('beforeunload', listener)
  }, [on])
}
