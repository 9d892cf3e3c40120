import * as menu from '@zag-js/menu'
import { normalizeProps, useMachine } from '@zag-js/preact'
import type { ComponentChildren } from 'preact'
import { useEffect, useId } from 'preact/hooks'
import type { TriggerProps } from '../lazy'
import { Portal } from './Portal'

export interface MenuItem {
  /** Identifies the item within its menu. */
  value: string
  label: ComponentChildren
  detail?: ComponentChildren
  onSelect: () => void
  disabled?: boolean
  /** For what cannot be undone. */
  danger?: boolean
}

export interface MenuProps extends TriggerProps {
  items: readonly MenuItem[]
}

/** Menu opens when it is mounted: see onDemand. */
export function Menu({ items, trigger, label, triggerClass = 'button', tabIndex }: MenuProps) {
  const service = useMachine(menu.machine, {
    id: useId(),
    positioning: { placement: 'bottom-start', gutter: 4 },
    onSelect: ({ value }) => items.find((item) => item.value === value)?.onSelect(),
    'aria-label': label,
  })
  const api = menu.connect(service, normalizeProps)
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
            <div {...api.getContentProps()} class="popup">
              {items.map((item) => (
                <div
                  key={item.value}
                  {...api.getItemProps({ value: item.value, disabled: item.disabled })}
                  class={item.danger ? 'option danger' : 'option'}
                >
                  <span>{item.label}</span>
                  {item.detail && <span class="detail">{item.detail}</span>}
                </div>
              ))}
            </div>
          </div>
        </Portal>
      )}
    </>
  )
}
