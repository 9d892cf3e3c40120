/** The called agent. */
export interface Agent {
  /** The workspace that owns the agent; by default that of the options. */
  workspaceId?: string
  /** A type of the catalog, e.g. `agent`. */
  agentType: string
  /** Empty or absent if the call is on no agent in particular. */
  agentId?: string
}

/** A call as the backend received it. */
export interface IncomingCall {
  method: string
  /** The path as the router reads it: percent-encoded, and with the query. */
  path: string
  /** The path as the caller sent it, where middleware in front has changed it. */
  endpoint?: string | undefined
  /** header returns a header by its name in lower case. */
  header(name: string): string | undefined
}

/** Whose key an allowed call has. */
export interface Identity {
  workspaceId: string
  keyId: string
  keyName: string
  keyLast4: string
  externalId: string
  metadata: Record<string, string>
  /** The id of the call's row in the request logs. */
  requestLogId: string
}

/** The status of a call that became a WebSocket. */
export const switchingProtocols = 101

/** nginx's status of a call whose caller went away before the response. */
export const callerGone = 499

/** The statuses that a report may have, and the longest latency, 24 hours in milliseconds. */
const [firstStatus, lastStatus] = [100, 599]
const longestMs = 86_400_000

/** How a response ended. */
export interface Ended {
  status: number
  latencyMs: number
}

/** Ongoing measures one call, from when it was received until its response has ended. */
export class Ongoing {
  /** Resolves when the response has ended. */
  readonly ended: Promise<Ended>
  readonly #began = performance.now()
  #resolve!: (ended: Ended) => void

  constructor() {
    this.ended = new Promise((resolve) => (this.#resolve = resolve))
  }

  /** end says with which status the response ended. The first call counts. */
  end(status: number): void {
    const latencyMs = Math.min(performance.now() - this.#began, longestMs)
    this.#resolve({ status: Math.max(firstStatus, Math.min(status, lastStatus)), latencyMs })
  }
}
