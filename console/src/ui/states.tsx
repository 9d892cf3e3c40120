// What stands where there is nothing to show yet, or no more.
import type { ComponentChildren } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import type { ApiError } from '../api/error'
import { timeOfDay } from '../format'

/** useSlow becomes true 150 ms after `waiting` does: a skeleton that shows sooner only flickers. */
export function useSlow(waiting: boolean): boolean {
  const [slow, setSlow] = useState(false)
  useEffect(() => {
    if (!waiting) return setSlow(false)
    const timer = setTimeout(() => setSlow(true), 150)
    return () => clearTimeout(timer)
  }, [waiting])
  return slow && waiting
}

export interface ErrorNoteProps {
  error: ApiError
  /** What could not be done: "The request logs cannot be loaded". */
  what: string
  /** Since when what is shown may be outdated. */
  since?: Date | undefined
  retry?: (() => void) | undefined
}

/** ErrorNote says in words what went wrong, and offers to try again. */
export function ErrorNote({ error, what, since, retry }: ErrorNoteProps) {
  return (
    <div class="note error" role="alert">
      <span>
        {what}: <bdi>{error.message.replace(/\.$/, '')}</bdi>.{since && ` What you see is from ${timeOfDay(since)}.`}
      </span>
      {retry && (
        <button type="button" class="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  )
}

/** EmptyState says why there is nothing, and what to do next. */
export function EmptyState({ title, children }: { title: string; children: ComponentChildren }) {
  return (
    <div class="empty">
      <h2>{title}</h2>
      {children}
    </div>
  )
}
