// The fields of a key, to create or to edit it.
import type { ComponentChildren } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import type { Draft, Field, Wrong } from '../draft'
import { AgentsField } from './AgentsField'
import { ExpiryField } from './ExpiryField'
import { MetadataField } from './MetadataField'
import { ScopesField } from './ScopesField'

export const fieldLabels: Record<Field, string> = {
  name: 'Name',
  description: 'Description',
  owner: 'Owner',
  scopes: 'Scopes',
  agentIds: 'Agent access',
  expiry: 'Expires',
  metadata: 'Metadata',
}

const moreFields: readonly Field[] = ['description', 'metadata']

export interface KeyFormProps {
  draft: Draft
  onChange: (draft: Draft) => void
  wrong: Wrong
}

export interface FieldProps extends KeyFormProps {
  /** The attributes that connect a control with what is wrong with it. */
  invalid: { 'aria-invalid'?: boolean; 'aria-describedby'?: string }
}

/** fieldOf returns the first control of a field, by its name in addresses: see console/README.md. */
export const fieldOf = (name: string): HTMLElement | null =>
  document.querySelector<HTMLElement>(`#field-${{ agents: 'agentIds' }[name] ?? CSS.escape(name)}`) ??
  document.getElementById('field-name')

/** focusWrong moves the focus to the first wrong field. */
export function focusWrong(wrong: Wrong): void {
  const first = (Object.keys(fieldLabels) as Field[]).find((field) => wrong[field])
  if (first) requestAnimationFrame(() => document.getElementById(`field-${first}`)?.focus())
}

export function KeyForm(props: KeyFormProps) {
  const { draft, onChange, wrong } = props
  const [more, setMore] = useState(false)
  const used = draft.description !== '' || draft.metadata.length > 0
  useEffect(() => {
    if (used) setMore(true)
  }, [used])
  const set = (changes: Partial<Draft>) => onChange({ ...draft, ...changes })
  const field = (name: Field): FieldProps => ({ ...props, invalid: invalid(name, wrong) })
  return (
    <>
      <Text
        name="name"
        {...field('name')}
        value={draft.name}
        onText={(name) => set({ name })}
        hint="For people: who or what uses it."
      />
      <Group name="scopes" wrong={wrong} hint="The types of agents that the key may call.">
        <ScopesField {...field('scopes')} />
      </Group>
      <Group name="agentIds" wrong={wrong}>
        <AgentsField {...field('agentIds')} />
      </Group>
      <Group name="expiry" wrong={wrong}>
        <ExpiryField {...field('expiry')} />
      </Group>
      <Text
        name="owner"
        {...field('owner')}
        value={draft.owner}
        onText={(owner) => set({ owner })}
        hint="Optional: the customer’s id in your own system. Request logs keep it."
      />
      {more || moreFields.some((name) => wrong[name]) ? (
        <>
          <Text
            name="description"
            {...field('description')}
            value={draft.description}
            onText={(description) => set({ description })}
          />
          <Group
            name="metadata"
            wrong={wrong}
            hint="What your backend wants to know of the caller: every allowed check returns it."
          >
            <MetadataField {...field('metadata')} />
          </Group>
        </>
      ) : (
        <button type="button" class="link" onClick={() => setMore(true)}>
          More: description, metadata
        </button>
      )}
    </>
  )
}

const invalid = (name: Field, wrong: Wrong) => (wrong[name] ? { 'aria-invalid': true, 'aria-describedby': `wrong-${name}` } : {})

interface TextProps extends FieldProps {
  name: Field
  value: string
  onText: (text: string) => void
  hint?: string
}

function Text({ name, value, onText, hint, wrong, invalid: attributes }: TextProps) {
  return (
    <div class="field">
      <label for={`field-${name}`}>{fieldLabels[name]}</label>
      <input
        id={`field-${name}`}
        class="input"
        dir="auto"
        autocomplete="off"
        value={value}
        onInput={(event) => onText(event.currentTarget.value)}
        {...attributes}
      />
      <Notes name={name} wrong={wrong} hint={hint} />
    </div>
  )
}

function Group({ name, wrong, hint, children }: { name: Field; wrong: Wrong; hint?: string; children: ComponentChildren }) {
  return (
    <fieldset class="field">
      <legend class="label">{fieldLabels[name]}</legend>
      {children}
      <Notes name={name} wrong={wrong} hint={hint} />
    </fieldset>
  )
}

function Notes({ name, wrong, hint }: { name: Field; wrong: Wrong; hint?: string | undefined }) {
  if (wrong[name])
    return (
      <span class="wrong data" id={`wrong-${name}`}>
        {wrong[name]}
      </span>
    )
  return hint ? <span class="hint">{hint}</span> : null
}
