import { normalizeProps, useMachine } from '@zag-js/preact'
import * as popover from '@zag-js/popover'
import type { ComponentChildren } from 'preact'
import { useEffect, useId } from 'preact/hooks'
import type { TriggerProps } from '../lazy'
import { Portal } from './Portal'

export interface PopoverProps extends TriggerProps {
  /** The accessible name of what opens. */
  title: string
  /** What opens; `close` closes it and moves the focus back to the button. */
  content: (close: () => void) => ComponentChildren
  /** The CSS classes of what opens. */
  contentClass?: string
}

/** Popover opens when it is mounted: see onDemand. */
export function Popover({
  title,
  content,
  contentClass = 'popup padded',
  trigger,
  label,
  triggerClass = 'button',
  tabIndex,
}: PopoverProps) {
  const service = useMachine(popover.machine, {
    id: useId(),
    portalled: true,
    positioning: { placement: 'bottom-start', gutter: 4 },
  })
  const api = popover.connect(service, normalizeProps)
  // It moves the focus only when it opens, not when it begins open.
  useEffect(() => api.setOpen(true), [])
  return (
    <>
      <button {...api.getTriggerProps()} class={triggerClass} aria-label={label} tabIndex={tabIndex}>
        {trigger}
      </button>
      {api.open && (
        <Portal>
          <div {...api.getPositionerProps()}>
            <div {...api.getContentProps()} class={contentClass} aria-label={title} aria-labelledby={undefined}>
              {content(() => api.setOpen(false))}
            </div>
          </div>
        </Portal>
      )}
    </>
  )
}
