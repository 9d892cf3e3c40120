import { normalizeProps, useMachine } from '@zag-js/preact'
import * as tabs from '@zag-js/tabs'
import type { ComponentChildren } from 'preact'
import { useId } from 'preact/hooks'

export interface Tab {
  value: string
  label: string
  content: ComponentChildren
}

/** Tabs shows one of several contents. `label` is the accessible name of the list of tabs. */
export function Tabs({ label, items }: { label: string; items: readonly Tab[] }) {
  const service = useMachine(tabs.machine, { id: useId(), defaultValue: items[0]?.value ?? null })
  const api = tabs.connect(service, normalizeProps)
  return (
    <div {...api.getRootProps()}>
      <div {...api.getListProps()} class="tabs" aria-label={label}>
        {items.map(({ value, label: name }) => (
          <button key={value} {...api.getTriggerProps({ value })} class="tab">
            {name}
          </button>
        ))}
      </div>
      {items.map(({ value, content }) => (
        <div key={value} {...api.getContentProps({ value })}>
          {content}
        </div>
      ))}
    </div>
  )
}
