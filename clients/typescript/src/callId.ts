/** The time goes back by more than this only where the clock is set. */
const jitterMs = 1000

let tail = randomTail()
let lastMs = 0
let counter = 0

/**
 * newCallId returns a UUIDv7 (RFC 9562, section 6.2, method 1): the time, a counter within the millisecond, and 62 random bits
 * that are the same for each id of a process, so that rows take less storage. aheadMs is how far the clock of the service is
 * ahead.
 */
export function newCallId(aheadMs: number): string {
  const now = Date.now() + aheadMs
  if (now < lastMs - jitterMs) {
    // The ids of these times were given out with the tail of before.
    tail = randomTail()
    lastMs = now
    counter = 0
  } else if (now > lastMs) {
    lastMs = now
    counter = 0
  } else if (++counter > 0xfff) {
    // The counter is full: this id has the next millisecond.
    lastMs++
    counter = 0
  }
  const time = lastMs.toString(16).padStart(12, '0')
  return `${time.slice(0, 8)}-${time.slice(8)}-7${counter.toString(16).padStart(3, '0')}-${tail}`
}

/** randomTail returns the last 16 hex digits of the ids, with the variant in the first two bits. */
function randomTail(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(8))
  bytes[0] = (bytes[0]! & 0x3f) | 0x80
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
  return `${hex.slice(0, 4)}-${hex.slice(4)}`
}
