import { useEffect } from 'preact/hooks'
import { searchId } from './Filters'
import type { TableHandle } from './Table'

/** useShortcuts: `/` goes to the search, `j` and `k` go to the next and the previous key. */
export function useShortcuts(table: { current: TableHandle | null }): void {
  useEffect(() => {
    const listener = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || busy(event.target as HTMLElement)) return
      if (event.key === '/') document.getElementById(searchId)?.focus()
      else if (event.key === 'j') table.current?.move(1)
      else if (event.key === 'k') table.current?.move(-1)
      else return
      event.preventDefault()
    }
    addEventListener('keydown', listener)
    return () => removeEventListener('keydown', listener)
  }, [])
}

// busy reports whether a key that is pressed here is for something else: a field, or what is open over the page.
const busy = (target: HTMLElement): boolean =>
  target.closest('input, textarea, select, [role=menu]') !== null || document.querySelector('[role=dialog], [role=alertdialog]') !== null
