import * as dialog from '@zag-js/dialog'
import { normalizeProps, useMachine } from '@zag-js/preact'
import type { ComponentChildren } from 'preact'
import { useId } from 'preact/hooks'
import { Portal } from './Portal'

export interface DialogProps {
  title: ComponentChildren
  /** One sentence below the title. */
  about?: ComponentChildren
  children: ComponentChildren
  /** Called when the user closes the dialog; the caller then stops to render it. */
  onClose: () => void
  /** Only a button closes the dialog: for what would be lost by a stray click or Esc. */
  firm?: boolean
  /** For decisions that interrupt: deletions. */
  alert?: boolean
  class?: string
  /** What gets the focus at first; by default the first control. */
  initialFocus?: (() => HTMLElement | null) | undefined
  /** What gets the focus at the end; by default what had it before. */
  finalFocus?: (() => HTMLElement | null) | undefined
}

/** Dialog is a modal dialog that is open as long as it is rendered. It holds one decision. */
export function Dialog(props: DialogProps) {
  const {
    title,
    about,
    children,
    onClose,
    firm = false,
    alert = false,
    class: className = 'dialog',
    initialFocus,
    finalFocus,
  } = props
  const service = useMachine(dialog.machine, {
    id: useId(),
    open: true,
    role: alert ? 'alertdialog' : 'dialog',
    closeOnInteractOutside: !firm,
    closeOnEscape: !firm,
    initialFocusEl: initialFocus,
    finalFocusEl: finalFocus,
    onOpenChange: ({ open }) => open || onClose(),
  })
  const api = dialog.connect(service, normalizeProps)
  return (
    <Portal>
      <div {...api.getBackdropProps()} class="scrim" />
      <div {...api.getPositionerProps()} class="dialog-place">
        <div {...api.getContentProps()} class={className}>
          <h2 {...api.getTitleProps()}>{title}</h2>
          {about && (
            <p {...api.getDescriptionProps()} class="about">
              {about}
            </p>
          )}
          {children}
        </div>
      </div>
    </Portal>
  )
}
