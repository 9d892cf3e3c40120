import type { TailState } from './useTail'

export interface LiveButtonProps {
  live: boolean
  tail: TailState
  onToggle: (live: boolean) => void
}

/** LiveButton turns the stream of new rows on and off. */
export function LiveButton({ live, tail, onToggle }: LiveButtonProps) {
  const state = !live ? 'off' : tail.interrupted ? 'interrupted' : 'on'
  return (
    <button
      type="button"
      class={`button live ${state}`}
      aria-pressed={live}
      title={state === 'interrupted' ? `Interrupted: ${tail.interrupted!.why}` : 'New calls as they arrive (l)'}
      onClick={() => onToggle(!live)}
    >
      <i aria-hidden="true" />
      Live
    </button>
  )
}
