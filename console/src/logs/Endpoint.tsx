// An endpoint with the text that was searched for.

/** matchAt finds a text as the log service does: ASCII letters match either case. It returns -1 without a match. */
export function matchAt(endpoint: string, wanted: string): number {
  return wanted === '' ? -1 : asciiLower(endpoint).indexOf(asciiLower(wanted))
}

const asciiLower = (text: string): string => text.replace(/[A-Z]/g, (letter) => letter.toLowerCase())

const ahead = 6 // characters that are seen after a match
const dots = 2 // characters that the sign for what is hidden may take

/** hiddenBefore is how many characters are left out at the beginning, so that the match from `at` to `end` has room. */
export function hiddenBefore(length: number, at: number, end: number, room: number): number {
  const seen = end + Math.min(ahead, length - end)
  return length > room && seen > room ? Math.min(at, seen - room + dots) : 0
}

export interface EndpointProps {
  endpoint: string
  wanted: string
  /** How many characters have room: a match that would be cut off moves to the left. Infinity shows everything. */
  room: number
}

/** Endpoint shows an endpoint in one line; CSS cuts off its end where it is too long. */
export function Endpoint({ endpoint, wanted, room }: EndpointProps) {
  const at = matchAt(endpoint, wanted)
  if (at < 0) return <bdi>{endpoint}</bdi>
  const end = at + wanted.length
  const cut = hiddenBefore(endpoint.length, at, end, room)
  return (
    <bdi>
      {cut > 0 && '…'}
      {endpoint.slice(cut, at)}
      <mark>{endpoint.slice(at, end)}</mark>
      {endpoint.slice(end)}
    </bdi>
  )
}
