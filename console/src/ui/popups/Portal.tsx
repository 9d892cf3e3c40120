import type { ComponentChildren } from 'preact'
import { createPortal } from 'preact/compat'

/** Portal renders at the end of the page, where nothing cuts it off. That of @zag-js/preact 1.44.0 needs React. */
export function Portal({ children }: { children: ComponentChildren }) {
  return createPortal(<>{children}</>, document.body)
}
