import * as listbox from '@zag-js/listbox'
import { normalizeProps, useMachine } from '@zag-js/preact'
import type { ComponentChildren } from 'preact'
import { useId, useState } from 'preact/hooks'
import { count } from '../../format'
import type { TriggerProps } from '../lazy'
import { Popover } from './popover'

export interface Choice {
  value: string
  /** What is shown, and searched. */
  label: string
  /** Stands after the label, in a quieter ink; it is searched, too. */
  detail?: string
}

export interface PickerProps extends TriggerProps {
  /** What is chosen, e.g. "Key". */
  title: string
  choices: readonly Choice[]
  value: string
  onChoose: (value: string) => void
  /** What the search says while it is empty. */
  searchHint?: string
  /** Offers the text of the search as a value of its own, with this label. */
  ownValue?: ((text: string) => string | undefined) | undefined
  /** Stands below the choices, e.g. that more are loading. */
  footer?: ComponentChildren
}

const searchFrom = 8 // choices; fewer are seen at a glance
const mostShown = 200 // choices; more are found by the search

/** Picker opens when it is mounted: see onDemand. */
export function Picker(props: PickerProps) {
  const { trigger, label, triggerClass, title } = props
  return (
    <Popover
      trigger={trigger}
      title={title}
      contentClass="popup"
      label={label}
      triggerClass={triggerClass}
      content={(close) => <Choices {...props} close={close} />}
    />
  )
}

function Choices(props: PickerProps & { close: () => void }) {
  const { title, value, searchHint = 'Search', footer } = props
  const [text, setText] = useState('')
  const found = matching(props, text.trim())
  const items = found.slice(0, mostShown)
  const service = useMachine(listbox.machine as listbox.Machine<Choice>, {
    id: useId(),
    collection: listbox.collection({ items, itemToValue: (c) => c.value, itemToString: (c) => c.label }),
    value: [value],
    defaultHighlightedValue: value,
    typeahead: !hasSearch(props),
    onSelect: (details) => {
      props.close()
      props.onChoose(details.value)
    },
  })
  const api = listbox.connect(service, normalizeProps)
  return (
    <div {...api.getRootProps()}>
      {hasSearch(props) && (
        <input
          {...api.getInputProps({ autoHighlight: true })}
          class="input"
          role="combobox"
          type="search"
          list={undefined}
          aria-expanded
          aria-label={`${title}: ${searchHint}`}
          placeholder={searchHint}
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
        />
      )}
      <div {...api.getContentProps()} class="options" aria-label={title} aria-labelledby={undefined}>
        {items.map((item) => (
          <div key={item.value} {...api.getItemProps({ item })} class="option">
            <span>
              <bdi>{item.label}</bdi> {item.detail && <span class="detail mono">{item.detail}</span>}
            </span>
            <span class="tick" aria-hidden="true">
              ✓
            </span>
          </div>
        ))}
      </div>
      {items.length === 0 && <div class="none">Nothing matches.</div>}
      {found.length > items.length && <div class="none">{count(found.length - items.length)} more: type to find them.</div>}
      {footer}
    </div>
  )
}

const hasSearch = ({ choices, ownValue }: PickerProps) => choices.length > searchFrom || ownValue !== undefined

function matching({ choices, ownValue }: PickerProps, text: string): Choice[] {
  const wanted = text.toLowerCase()
  const found = choices.filter((c) => `${c.label} ${c.detail ?? ''}`.toLowerCase().includes(wanted))
  const own = text && !choices.some((c) => c.value === text) ? ownValue?.(text) : undefined
  return own ? [...found, { value: text, label: own }] : found
}
