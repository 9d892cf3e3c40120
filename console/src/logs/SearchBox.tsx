import { useEffect, useRef, useState } from 'preact/hooks'
import { setQuery } from '../route'

const typingMs = 200 // after the last key; then it is searched

/** SearchBox searches by endpoint while the user types. */
export function SearchBox({ value, input }: { value: string; input: { current: HTMLInputElement | null } }) {
  const [text, setText] = useState(value)
  const sent = useRef(value)
  useEffect(() => {
    // Back, or a removed filter.
    if (value === sent.current) return
    sent.current = value
    setText(value)
  }, [value])
  useEffect(() => {
    const wanted = text.trim()
    if (wanted === sent.current) return
    const timer = setTimeout(() => {
      sent.current = wanted
      setQuery({ endpoint: wanted }, 'replace')
    }, typingMs)
    return () => clearTimeout(timer)
  }, [text])
  return (
    <div class="search" role="search">
      <input
        ref={input}
        class="input"
        type="search"
        aria-label="Search by endpoint"
        aria-keyshortcuts="/"
        placeholder="Search by endpoint"
        maxLength={256}
        spellcheck={false}
        autocomplete="off"
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
        onKeyDown={(event) => event.key === 'Escape' && text === '' && event.currentTarget.blur()}
      />
      {text === '' && <kbd aria-hidden="true">/</kbd>}
    </div>
  )
}
