import { useEffect, useRef } from 'preact/hooks'

// useShortcuts calls handlers by key while nothing is typed and no menu or dialog is open.
export function useShortcuts(handlers: Readonly<Record<string, () => void>>): void {
  const latest = useRef(handlers)
  latest.current = handlers
  useEffect(() => {
    const listener = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || !mayHandle(event)) return
      const handler = latest.current[event.key]
      if (!handler) return
      event.preventDefault()
      handler()
    }
    addEventListener('keydown', listener)
    return () => removeEventListener('keydown', listener)
  }, [])
}

const own = 'button, a, [role=dialog]:not(.sheet), [role=alertdialog], [role=menu]'

function mayHandle({ target, key }: KeyboardEvent): boolean {
  const element = target as Element
  if (element.closest('input, textarea, select, [contenteditable]')) return false
  // Enter on a button is the button's.
  return !element.closest(key === 'Enter' ? own : own.replace('button, a, ', ''))
}
