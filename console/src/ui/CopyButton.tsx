import { useEffect, useRef, useState } from 'preact/hooks'
import { CopyIcon, Tick } from './icons'
import { toast } from './toast'

export interface CopyButtonProps {
  text: string
  /** What is copied, for the accessible name: "Copy request id". */
  what: string
  class?: string
  /** Shows a picture in place of a word. */
  icon?: boolean
  onCopy?: () => void
}

/** CopyButton copies a text and says so. */
export function CopyButton({ text, what, class: className = 'button icon plain', icon = false, onCopy }: CopyButtonProps) {
  const [copied, setCopied] = useState(false)
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined)
  useEffect(() => () => clearTimeout(timer.current), [])
  const onClick = async () => {
    if (!(await copy(text))) return
    onCopy?.()
    setCopied(true)
    clearTimeout(timer.current)
    timer.current = setTimeout(() => setCopied(false), 2_000)
  }
  return (
    <button type="button" class={className} aria-label={`Copy ${what}`} title={icon ? 'Copy' : undefined} onClick={onClick}>
      {icon ? copied ? <Tick /> : <CopyIcon /> : copied ? 'Copied' : 'Copy'}
    </button>
  )
}

/** copy copies a text and says whether it could; it reports the same. */
export async function copy(text: string): Promise<boolean> {
  const done = await write(text)
  toast(done ? 'Copied' : 'The browser did not allow to copy. Select the text and copy it.')
  return done
}

// Browsers have the clipboard's API on https and localhost only.
async function write(text: string): Promise<boolean> {
  if (!navigator.clipboard) return copyBySelection(text)
  return navigator.clipboard.writeText(text).then(
    () => true,
    () => false,
  )
}

function copyBySelection(text: string): boolean {
  const area = document.createElement('textarea')
  area.value = text
  // Within a dialog, so that its focus trap allows the selection.
  const place = document.activeElement?.parentElement ?? document.body
  place.append(area)
  area.select()
  const done = document.execCommand('copy')
  area.remove()
  return done
}
