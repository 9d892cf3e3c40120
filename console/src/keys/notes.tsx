// What stands above the list.
import type { ApiError } from '../api/error'
import { followLink } from '../route'

/** BackNote says what was done, and leads back to the call whose fix it was. */
export function BackNote({ text, address }: { text: string; address: string }) {
  return (
    <div class="note page-note" role="status">
      <span>{text}</span>
      <a class="link" href={address} onClick={followLink}>
        Back to the request
      </a>
    </div>
  )
}

/** NoSuchKey says that the address names a key that cannot be shown. */
export function NoSuchKey({ error, dismiss }: { error: ApiError; dismiss: () => void }) {
  const gone = error.reason === 'KEY_NOT_FOUND'
  return (
    <div class={gone ? 'note' : 'note error'} role="alert">
      <span>{gone ? 'The key of this address was deleted.' : `The key of this address cannot be shown: ${error.message}`}</span>
      <button type="button" class="link" onClick={dismiss}>
        Dismiss
      </button>
    </div>
  )
}
