import { useEffect, useState } from 'preact/hooks'

const narrowWidth = matchMedia('(max-width: 700px)') // as in the style sheets

/** useNarrow reports whether the screen is narrow: rows have three lines, and a call opens in a sheet. */
export function useNarrow(): boolean {
  const [narrow, setNarrow] = useState(narrowWidth.matches)
  useEffect(() => {
    const listener = () => setNarrow(narrowWidth.matches)
    narrowWidth.addEventListener('change', listener)
    return () => narrowWidth.removeEventListener('change', listener)
  }, [])
  return narrow
}
