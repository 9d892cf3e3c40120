/** KeyName is the name of a key and the last 4 characters of its secret. */
export function KeyName({ name, last4 }: { name: string; last4: string }) {
  return (
    <span class="key-name">
      <bdi>{name}</bdi> <span class="mono last4">····{last4}</span>
    </span>
  )
}
