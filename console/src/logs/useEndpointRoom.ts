import { useEffect, useState } from 'preact/hooks'

const characterWidth = 7.6 // of .mono at 12.5 px
const padding = 20

/** useEndpointRoom measures how many characters of an endpoint a row has room for. */
export function useEndpointRoom(table: { current: HTMLElement | null }, narrow: boolean): number {
  const [room, setRoom] = useState(Infinity)
  useEffect(() => {
    const head = table.current?.querySelectorAll<HTMLElement>('[role=columnheader]')[2]
    const measured = narrow ? table.current : head
    if (!measured) return
    const observer = new ResizeObserver(() => {
      const width = narrow ? measured.clientWidth - 12 : measured.offsetWidth
      setRoom(Math.max(8, Math.floor((width - padding) / characterWidth)))
    })
    observer.observe(measured)
    return () => observer.disconnect()
  }, [narrow])
  return room
}
