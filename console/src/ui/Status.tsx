import type { ComponentChildren } from 'preact'

export type Tone = 'success' | 'client-error' | 'server-error' | 'in-progress' | 'other'

/** toneOf is the class of an HTTP status; 0 is a call in progress. */
export function toneOf(status: number): Tone {
  if (status === 0) return 'in-progress'
  if (status >= 200 && status < 300) return 'success'
  if (status >= 400 && status < 500) return 'client-error'
  return status >= 500 ? 'server-error' : 'other'
}

/** Status is a dot and a word, in the colour of its meaning. */
export function Status({ tone, children }: { tone: Tone; children: ComponentChildren }) {
  return <span class={`status ${tone}`}>{children}</span>
}
