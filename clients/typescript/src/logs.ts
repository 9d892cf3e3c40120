import { KeytrailError, statusError, unreachable } from './error.js'
import { lines } from './lines.js'
import { backoff, pause, type CallOptions, type Transport } from './transport.js'
import type { components, operations } from './gen/openapi.js'

type Schemas = components['schemas']
type Query<Operation extends keyof operations> = NonNullable<operations[Operation]['parameters']['query']>

/** A stream is taken for broken after this silence: a message comes every 15 seconds at the latest. */
const silenceMs = 45_000

/** The request logs of workspaces. Reading them needs the role `viewer`. */
export class Logs {
  readonly #transport: Transport

  constructor(transport: Transport) {
    this.#transport = transport
  }

  /**
   * list returns one page, newest first. It may have few rows or none, and still a `nextPageToken`: the time to search one page
   * is limited. `unreadableRanges` has the times whose storage is damaged.
   */
  list(
    workspaceId: string,
    query?: Query<'listRequestLogs'>,
    options?: CallOptions,
  ): Promise<Schemas['ListRequestLogsResponse']> {
    return this.#transport.json({ ...options, method: 'GET', path: logsPath(workspaceId), query, safe: true })
  }

  /** iterate returns the rows of all pages, newest first. The `timeoutMs` holds for each page. */
  async *iterate(
    workspaceId: string,
    query?: Query<'listRequestLogs'>,
    options?: CallOptions,
  ): AsyncGenerator<Schemas['RequestLog'], void> {
    let pageToken = query?.pageToken
    do {
      const page: Schemas['ListRequestLogsResponse'] = await this.list(
        workspaceId,
        { ...query, ...(pageToken && { pageToken }) },
        options,
      )
      yield* page.requestLogs
      pageToken = page.nextPageToken
    } while (pageToken)
  }

  async get(workspaceId: string, requestLogId: string, options?: CallOptions): Promise<Schemas['RequestLog']> {
    const path = `${logsPath(workspaceId)}/${encodeURIComponent(requestLogId)}`
    const call = { ...options, method: 'GET', path, safe: true } as const
    return (await this.#transport.json<Schemas['GetRequestLogResponse']>(call)).requestLog
  }

  /** summary counts calls, and estimates percentiles of their latency, in all and in each bucket of time. */
  summary(
    workspaceId: string,
    query?: Query<'summarizeRequestLogs'>,
    options?: CallOptions,
  ): Promise<Schemas['SummarizeRequestLogsResponse']> {
    return this.#transport.json({ ...options, method: 'GET', path: `${logsPath(workspaceId)}:summary`, query, safe: true })
  }

  /**
   * export returns all rows that match as a file of newline-delimited JSON or CSV, as it arrives. If the export fails, so does
   * the stream. The last line of a whole file is `{"row_count":N,"complete":true}`, in CSV `# rows=N`.
   */
  export(workspaceId: string, query?: Query<'exportRequestLogs'>, options?: CallOptions): Promise<ReadableStream<Uint8Array>> {
    return this.#transport.stream({ ...options, method: 'GET', path: `${logsPath(workspaceId)}:export`, query, safe: true })
  }

  /**
   * tail returns rows as they are stored: each call when it is checked, and again when it is reported. A row may come again;
   * the last one of an id counts. After a break it continues by itself, with a message that has `gap`. It ends with an error
   * that a repetition does not help against, or with the signal.
   */
  async *tail(
    workspaceId: string,
    query: Query<'tailRequestLogs'> = {},
    options: CallOptions = {},
  ): AsyncGenerator<Schemas['TailRequestLogsResponse'], void> {
    let { resumeToken } = query
    for (let failures = 0; ;) {
      try {
        for await (const message of this.#messages(workspaceId, { ...query, ...(resumeToken && { resumeToken }) }, options)) {
          failures = 0
          resumeToken = message.resumeToken
          yield message
        }
      } catch (error) {
        options.signal?.throwIfAborted()
        if (!(error instanceof KeytrailError) || !error.unavailable) throw error
        await pause(backoff(++failures, 250, 10_000), options.signal)
      }
    }
  }

  /** #messages is one stream, up to its end, which is always an error. */
  async *#messages(
    workspaceId: string,
    query: Query<'tailRequestLogs'>,
    options: CallOptions,
  ): AsyncGenerator<Schemas['TailRequestLogsResponse'], void> {
    const silence = new AbortController()
    const signal = options.signal ? AbortSignal.any([options.signal, silence.signal]) : silence.signal
    const call = { ...options, signal, method: 'GET', path: `${logsPath(workspaceId)}:tail`, query, safe: true } as const
    const body = await this.#transport.stream(call)
    let timer = setTimeout(() => silence.abort(), silenceMs)
    try {
      for await (const line of lines(body)) {
        clearTimeout(timer)
        const message = JSON.parse(line) as Schemas['TailRequestLogsResponse'] & { error?: Schemas['Status'] }
        if (message.error) throw statusError(message.error, 0)
        yield message
        timer = setTimeout(() => silence.abort(), silenceMs)
      }
    } catch (error) {
      throw error instanceof KeytrailError ? error : unreachable(error)
    } finally {
      clearTimeout(timer)
    }
    throw unreachable('the stream has ended')
  }
}

function logsPath(workspaceId: string): string {
  return `/v1/workspaces/${encodeURIComponent(workspaceId)}/request-logs`
}
