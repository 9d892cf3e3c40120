// The catalog of error codes and agent types, for every component.
import { createContext, type ComponentChildren } from 'preact'
import { useContext } from 'preact/hooks'
import { api, ok } from './api/client'
import type { Catalog } from './api/types'
import { useLoad } from './api/useLoad'

const unknown: Catalog = { errorCodes: [], agentTypes: [] }
const Context = createContext(unknown)

/** CatalogProvider loads the catalog. Without it, codes and types show as the API names them. */
export function CatalogProvider({ children }: { children: ComponentChildren }) {
  const { value } = useLoad((signal) => ok(api.GET('/v1/catalog', { signal })), [])
  return <Context.Provider value={value ?? unknown}>{children}</Context.Provider>
}

export const useCatalog = (): Catalog => useContext(Context)

/** useAgentLabel returns a function that writes an agent type for people: "Data Agent" for `data_agent`. */
export function useAgentLabel(): (agentType: string) => string {
  const { agentTypes } = useCatalog()
  return (agentType) => agentTypes.find((t) => t.agentType === agentType)?.label || agentType
}

export interface Explanation {
  message: string
  fix: string
}

/** useExplain returns a function that says what an error code means and how to fix it; undefined for an unknown code. */
export function useExplain(): (code: string, cause: string) => Explanation | undefined {
  const { errorCodes } = useCatalog()
  return (code, cause) => {
    const known = errorCodes.find((c) => c.code === code)
    if (!known) return undefined
    return { message: known.message, fix: known.causes.find((c) => c.cause === cause)?.fix ?? known.fix }
  }
}
