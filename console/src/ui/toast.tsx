// Short messages at the bottom of the page, which screen readers read out.
import { useEffect, useState } from 'preact/hooks'

const shownMs = 4_000

interface Message {
  id: number
  text: string
}

let messages: Message[] = []
let lastId = 0
const listeners = new Set<() => void>()

/** toast shows a message for some seconds. */
export function toast(text: string): void {
  const id = ++lastId
  messages = [...messages.filter((m) => m.text !== text), { id, text }]
  notify()
  setTimeout(() => {
    messages = messages.filter((m) => m.id !== id)
    notify()
  }, shownMs)
}

function notify(): void {
  for (const listener of listeners) listener()
}

export function Toasts() {
  const [shown, setShown] = useState(messages)
  useEffect(() => {
    const listener = () => setShown(messages)
    listeners.add(listener)
    return () => void listeners.delete(listener)
  }, [])
  return (
    <div class="toasts" role="status" aria-live="polite">
      {shown.map((m) => (
        <div class="toast" key={m.id}>
          {m.text}
        </div>
      ))}
    </div>
  )
}
