/** lines returns the lines of a stream, without their ends. What follows the last end of a line is left out. */
export async function* lines(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, void> {
  const reader = stream.getReader()
  const decoder = new TextDecoder()
  let rest = ''
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      const parts = (rest + decoder.decode(value, { stream: true })).split('\n')
      rest = parts.pop()!
      yield* parts
    }
  } finally {
    // Closes the connection where the caller reads no further.
    await reader.cancel().catch(() => {})
  }
}
