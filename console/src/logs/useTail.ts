// The live stream of rows. A stream that breaks is opened again where it was.
import { useEffect, useRef, useState } from 'preact/hooks'
import { pause, send } from '../api/client'
import { ApiError, aborted, asApiError, statusError } from '../api/error'
import type { components } from '../api/schema'
import type { RequestLog } from '../api/types'
import { endSession } from '../session/token'
import { filterParams, type Filters } from './filters'

const shortestPauseMs = 500
const longestPauseMs = 10_000
const quietMs = 40_000 // a message comes every 15 seconds; without one for so long, the connection is dead
const unauthenticated = 16 // the gRPC code

type Message = components['schemas']['TailRequestLogsResponse'] & { error?: components['schemas']['Status'] }

export interface TailState {
  /** Since when the stream is interrupted, and why. */
  interrupted: { since: Date; why: string } | undefined
  gap: Gap | undefined
}

/** Gap says that records and reports of rows before a time may be missing, after an interruption, and when that became known. */
export interface Gap {
  before: Date
  known: Date
}

export interface TailHandlers {
  /** Called when a stream has begun; `resumed`: it brings what it missed. */
  onOpen: (resumed: boolean) => void
  onRows: (rows: readonly RequestLog[]) => void
}

/** useTail follows the rows that match while it is enabled. `filters` must be the same object while they are equal. */
export function useTail(workspace: string, filters: Filters, enabled: boolean, handlers: TailHandlers): TailState {
  const [state, setState] = useState<TailState>({ interrupted: undefined, gap: undefined })
  const latest = useRef(handlers)
  latest.current = handlers
  useEffect(() => {
    setState({ interrupted: undefined, gap: undefined })
    if (!enabled) return
    const abort = new AbortController()
    void follow(
      workspace,
      filters,
      abort.signal,
      (change) => setState((s) => ({ ...s, ...change })),
      () => latest.current,
    )
    return () => abort.abort()
  }, [workspace, filters, enabled])
  return state
}

async function follow(
  workspace: string,
  filters: Filters,
  signal: AbortSignal,
  set: (change: Partial<TailState>) => void,
  handlers: () => TailHandlers,
): Promise<void> {
  let resumeToken = ''
  let pauseMs = shortestPauseMs
  let broken: Date | undefined
  while (!signal.aborted) {
    let why = 'the connection has ended'
    try {
      for await (const message of messages(address(workspace, filters, resumeToken), signal)) {
        if (resumeToken === '' || broken) handlers().onOpen(resumeToken !== '')
        broken = undefined
        pauseMs = shortestPauseMs
        resumeToken = message.resumeToken
        set({
          interrupted: undefined,
          ...(message.gap?.startTime && { gap: { before: new Date(message.gap.startTime), known: new Date() } }),
        })
        if (message.requestLogs.length > 0) handlers().onRows(message.requestLogs)
      }
    } catch (error) {
      if (aborted(error)) return
      why = asApiError(error).message
      // The token of a stream that is too old or of another release is not accepted.
      if (asApiError(error).status === 400) resumeToken = ''
    }
    broken ??= new Date()
    set({ interrupted: { since: broken, why } })
    await pause(pauseMs, signal).catch(() => undefined)
    pauseMs = Math.min(pauseMs * 2, longestPauseMs)
  }
}

// Rows that are no longer in progress would not come with that filter: the page has to see them to take them away.
function address(workspace: string, filters: Filters, resumeToken: string): string {
  const params = filterParams({ ...filters, status: filters.status === 'in_progress' ? '' : filters.status })
  const query = new URLSearchParams(params as Record<string, string>)
  if (resumeToken !== '') query.set('resumeToken', resumeToken)
  return `/v1/workspaces/${encodeURIComponent(workspace)}/request-logs:tail?${query}`
}

// messages yields the messages of one stream. A stream that fails ends with a line that has the error.
async function* messages(url: string, signal: AbortSignal): AsyncGenerator<Message> {
  const response = await send(new Request(new URL(url, location.href), { signal }))
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ''
  try {
    for (;;) {
      const { done, value } = await inTime(reader.read())
      if (done) return
      const lines = (rest + value).split('\n')
      rest = lines.pop()!
      for (const line of lines) yield parse(line)
    }
  } finally {
    void reader.cancel().catch(() => undefined) // a broken stream is closed already
  }
}

function parse(line: string): Message {
  const message = JSON.parse(line) as Message
  if (!message.error) return message
  if (message.error.code === unauthenticated) endSession('ended')
  throw statusError(message.error, 0)
}

// inTime rejects if nothing comes for too long.
function inTime<T>(read: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new ApiError('nothing comes any more', 0)), quietMs)
    read.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}
