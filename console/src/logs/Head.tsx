import { span } from '../format'
import { ExportMenu } from './ExportMenu'
import type { Filters } from './filters'
import { LiveButton } from './LiveButton'
import type { Data } from './useData'
import { total } from './useSummary'

export interface HeadProps {
  workspace: string
  filters: Filters
  data: Data
  live: boolean
  onLive: (live: boolean) => void
  onHelp: () => void
}

/** Head is the title of the page and what is done with all rows. */
export function Head({ workspace, filters, data, live, onLive, onHelp }: HeadProps) {
  const { tail, unused, counted, retentionMs } = data
  return (
    <header class="page-head">
      <div>
        <h1>Request Logs</h1>
        <p>Every call made with your API keys. Logs are kept for {span(retentionMs)}.</p>
      </div>
      <LiveButton live={live} tail={tail} onToggle={onLive} />
      {!unused && <ExportMenu workspace={workspace} filters={filters} matches={counted && total(counted)} />}
      <button type="button" class="button icon plain help" aria-label="Keyboard help" title="Keyboard (?)" onClick={onHelp}>
        ?
      </button>
    </header>
  )
}
