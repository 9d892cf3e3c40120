/** A gate holds a handler until the test releases it. */
export interface Gate {
  /** Says that the handler runs. */
  enter(): void
  readonly entered: Promise<void>
  release(): void
  readonly released: Promise<void>
}

const gates = new Map<string, Gate>()

/** gateOf returns the gate of an agent. */
export function gateOf(agentId: string): Gate {
  let gate = gates.get(agentId)
  if (!gate) {
    const [entered, enter] = event()
    const [released, release] = event()
    gate = { enter, entered, release, released }
    gates.set(agentId, gate)
  }
  return gate
}

function event(): [Promise<void>, () => void] {
  let happen!: () => void
  return [new Promise((resolve) => (happen = resolve)), happen]
}
