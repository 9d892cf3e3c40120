/** KeyName is the name of a key and the last 4 characters of its secret. What a search looks for is marked in the name. */
export function KeyName({ name, last4, wanted = '' }: { name: string; last4: string; wanted?: string }) {
  return (
    <span class="key-name">
      <bdi>
        <Marked text={name} wanted={wanted} />
      </bdi>{' '}
      <span class="mono last4">····{last4}</span>
    </span>
  )
}

function Marked({ text, wanted }: { text: string; wanted: string }) {
  const at = wanted === '' ? -1 : text.toLowerCase().indexOf(wanted.toLowerCase())
  if (at < 0) return <>{text}</>
  return (
    <>
      {text.slice(0, at)}
      <mark>{text.slice(at, at + wanted.length)}</mark>
      {text.slice(at + wanted.length)}
    </>
  )
}
