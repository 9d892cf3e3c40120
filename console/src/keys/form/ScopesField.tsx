import { useCatalog } from '../../catalog'
import type { FieldProps } from './KeyForm'

/** ScopesField is a box for each agent type, also for those of the key that have left the catalog. */
export function ScopesField({ draft, onChange, invalid }: FieldProps) {
  const { agentTypes } = useCatalog()
  const unknown = draft.scopes.filter((scope) => !agentTypes.some((type) => type.agentType === scope))
  const choices = [...agentTypes, ...unknown.map((agentType) => ({ agentType, label: agentType }))]
  const toggle = (scope: string, on: boolean) =>
    onChange({ ...draft, scopes: on ? [...draft.scopes, scope] : draft.scopes.filter((s) => s !== scope) })
  return (
    <div class="boxes">
      {choices.map(({ agentType, label }, i) => (
        <label class="choice" key={agentType}>
          <input
            id={i === 0 ? 'field-scopes' : undefined}
            type="checkbox"
            checked={draft.scopes.includes(agentType)}
            onChange={(event) => toggle(agentType, event.currentTarget.checked)}
            {...invalid}
          />
          <bdi>{label || agentType}</bdi>
        </label>
      ))}
    </div>
  )
}
