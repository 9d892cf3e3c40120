/** Skeleton stands for rows that take longer to load. */
export function Skeleton() {
  return (
    <div class="keys-table" aria-hidden="true">
      <div class="key-row heads" />
      {[70, 45, 60, 52, 66, 40].map((width, i) => (
        <div class="key-row" key={i}>
          <span class="name">
            <span class="skeleton" style={{ width: `${width}%` }} />
          </span>
          {['scopes', 'agents', 'owner', 'used', 'expires', 'state'].map((cell) => (
            <span class={cell} key={cell}>
              <span class="skeleton" />
            </span>
          ))}
        </div>
      ))}
    </div>
  )
}
