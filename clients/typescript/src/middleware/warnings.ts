const intervalMs = 60_000

/** Warnings logs errors, those of each operation at most once a minute: a problem of the service comes with every call. */
export class Warnings {
  readonly #log: (error: unknown) => void
  readonly #last = new Map<string, number>()

  constructor(log: (error: unknown) => void = (error) => console.warn(`keytrail: ${String(error)}`)) {
    this.#log = log
  }

  warn(operation: 'check' | 'invalid check' | 'report' | 'refused report', error: unknown): void {
    const now = performance.now()
    if (now - (this.#last.get(operation) ?? -Infinity) < intervalMs) return
    this.#last.set(operation, now)
    this.#log(error)
  }
}
