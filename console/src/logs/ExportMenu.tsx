import { count } from '../format'
import { CopyButton } from '../ui/CopyButton'
import { Menu, Popover } from '../ui/popups'
import { exportCommand, type Filters } from './filters'
import { useExport, type Format } from './useExport'

const mostInBrowser = 100_000 // calls; the file is in memory until it is saved

const formats: ReadonlyArray<{ format: Format; label: string; detail: string }> = [
  { format: 'csv', label: 'CSV', detail: 'for spreadsheets' },
  { format: 'ndjson', label: 'NDJSON', detail: 'one JSON object a line' },
]

export interface ExportMenuProps {
  workspace: string
  filters: Filters
  /** How many calls match, if it is known. */
  matches: number | undefined
}

/** ExportMenu saves the rows that match, or shows how to where they are too many for a browser. */
export function ExportMenu({ workspace, filters, matches }: ExportMenuProps) {
  const running = useExport(workspace, filters)
  if (running.bytes !== undefined) {
    return (
      <button type="button" class="button figures" aria-label="Cancel the export" onClick={running.cancel}>
        Exporting… {(running.bytes / 1e6).toFixed(1)} MB
      </button>
    )
  }
  if (matches !== undefined && matches > mostInBrowser) {
    return (
      <Popover
        trigger="Export"
        title="Export"
        content={() => <ByCommand workspace={workspace} filters={filters} matches={matches} />}
      />
    )
  }
  return (
    <Menu
      trigger="Export"
      items={formats.map(({ format, label, detail }) => ({
        value: format,
        label,
        detail,
        onSelect: () => running.start(format),
      }))}
    />
  )
}

function ByCommand({ workspace, filters, matches }: { workspace: string; filters: Filters; matches: number }) {
  const command = exportCommand(workspace, filters, Date.now())
  return (
    <div class="by-command">
      <p>{count(matches)} calls are too many for a browser. This command exports them, and goes on after a break:</p>
      <pre class="code">{command}</pre>
      <CopyButton text={command} what="command" class="button" />
    </div>
  )
}
