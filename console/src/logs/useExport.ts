// Saves all matching rows as a file.
import { useRef, useState } from 'preact/hooks'
import { send } from '../api/client'
import { aborted, asApiError } from '../api/error'
import { toast } from '../ui/toast'
import { filterParams, timeParams, type Filters } from './filters'

export type Format = 'ndjson' | 'csv'

export interface Export {
  /** How many bytes have come; undefined while there is no export. */
  bytes: number | undefined
  start: (format: Format) => void
  cancel: () => void
}

const lastLines: Record<Format, RegExp> = { ndjson: /"complete": ?true\}\s*$/, csv: /# rows=\d+\s*$/ }
const lastLineBytes = 200

export function useExport(workspace: string, filters: Filters): Export {
  const [bytes, setBytes] = useState<number>()
  const abort = useRef(new AbortController())
  const start = async (format: Format) => {
    abort.current = new AbortController()
    setBytes(0)
    try {
      const response = await send(new Request(address(workspace, filters, format), { signal: abort.current.signal }))
      const file = await read(response, setBytes)
      if (!lastLines[format].test(await file.slice(-lastLineBytes).text())) {
        toast('The export was cut off. Nothing was saved: try again.')
        return
      }
      save(file, fileName(response, workspace, format))
      toast('Exported')
    } catch (error) {
      if (!aborted(error)) toast(`The export failed. ${asApiError(error).message}`)
    } finally {
      setBytes(undefined)
    }
  }
  return { bytes, start: (format) => void start(format), cancel: () => abort.current.abort() }
}

function address(workspace: string, filters: Filters, format: Format): URL {
  const params = { ...filterParams(filters), ...timeParams(filters.range, Date.now()), format }
  const query = new URLSearchParams(params as Record<string, string>)
  return new URL(`/v1/workspaces/${encodeURIComponent(workspace)}/request-logs:export?${query}`, location.href)
}

async function read(response: Response, onBytes: (bytes: number) => void): Promise<Blob> {
  const parts: BlobPart[] = []
  let bytes = 0
  const reader = response.body!.getReader()
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return new Blob(parts, { type: response.headers.get('Content-Type') ?? '' })
    parts.push(value)
    onBytes((bytes += value.length))
  }
}

function fileName(response: Response, workspace: string, format: Format): string {
  const match = /filename="([^"]+)"/.exec(response.headers.get('Content-Disposition') ?? '')
  return match?.[1] ?? `request-logs-${workspace}.${format}`
}

function save(file: Blob, name: string): void {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(file)
  link.download = name
  link.click()
  // The download has begun, or will not.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000)
}
