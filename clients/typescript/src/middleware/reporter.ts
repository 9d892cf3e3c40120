import { backoff } from '../transport.js'
import type { Keytrail } from '../keytrail.js'
import type { Warnings } from './warnings.js'
import type { components } from '../gen/openapi.js'

type Outcome = components['schemas']['Outcome']

/** The most outcomes of one report. */
const batchSize = 1000
/** The most outcomes that wait, about 40 MB. */
const maxWaiting = 1 << 16
/** How long outcomes are collected. */
const intervalMs = 200

/**
 * Reporter sends outcomes in batches, again and again until they are acknowledged: of several reports of a call the first
 * counts.
 */
export class Reporter {
  readonly #keytrail: Keytrail
  readonly #warnings: Warnings
  /** Oldest first. A batch stays until it is acknowledged. */
  #waiting: Outcome[] = []
  #timer: ReturnType<typeof setTimeout> | undefined
  #sending: Promise<void> | undefined
  /** Ends the pause after a failure. */
  #hurry = () => {}
  #closed = false
  readonly #counts = { reportsSent: 0, reportsRefused: 0, reportsDropped: 0 }

  constructor(keytrail: Keytrail, warnings: Warnings) {
    this.#keytrail = keytrail
    this.#warnings = warnings
  }

  get stats() {
    return { ...this.#counts, reportsPending: this.#waiting.length }
  }

  /** add takes an outcome. */
  add(outcome: Outcome): void {
    if (this.#closed || this.#waiting.length >= maxWaiting) {
      this.#counts.reportsDropped++
      return
    }
    this.#waiting.push(outcome)
    this.#schedule()
  }

  /** close sends all outcomes now, until the signal. It takes no more. */
  async close(signal: AbortSignal): Promise<void> {
    const stop = aborted(signal)
    this.#closed = true
    this.#hurry()
    while (this.#waiting.length > 0 && !signal.aborted) await Promise.race([this.#send(), stop])
    this.#counts.reportsDropped += this.#waiting.length
    this.#waiting = []
  }

  #schedule(): void {
    if (this.#waiting.length >= batchSize) void this.#send()
    else if (this.#waiting.length > 0 && !this.#sending) this.#timer ??= unref(setTimeout(() => void this.#send(), intervalMs))
  }

  /** #send sends a batch, and others while there are full ones. There is one such loop at a time. */
  #send(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#sending ??= this.#loop().finally(() => {
      this.#sending = undefined
      this.#schedule()
    })
    return this.#sending
  }

  async #loop(): Promise<void> {
    let failures = 0
    do {
      const batch = this.#waiting.slice(0, batchSize)
      try {
        const { refused } = await this.#keytrail.report(batch, { timeoutMs: 5000 })
        this.#waiting.splice(0, batch.length)
        this.#counts.reportsRefused += refused.length
        this.#counts.reportsSent += batch.length - refused.length
        const reason = refused[0]?.reason
        if (reason) this.#warnings.warn('refused report', new Error(`Reports were refused: ${reason}`))
        failures = 0
      } catch (error) {
        this.#warnings.warn('report', error)
        await this.#pause(backoff(++failures, 100, this.#closed ? 200 : 5000))
      }
    } while (this.#waiting.length >= (failures > 0 ? 1 : batchSize))
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = unref(setTimeout(resolve, ms))
      this.#hurry = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}

/** aborted resolves when a signal is aborted. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}

/** unref lets the process exit while a timer runs, in Node. Elsewhere a timer is a number. */
function unref<T>(timer: T): T {
  ;(timer as { unref?: () => void }).unref?.()
  return timer
}
