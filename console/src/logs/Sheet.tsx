import { Dialog } from '../ui/popups/dialog'
import { Panel, type PanelProps } from './Panel'

/** Sheet shows a call over the list, on narrow screens. */
export function Sheet(props: PanelProps) {
  return (
    <Dialog title={<span class="visually-hidden">Call</span>} class="sheet" onClose={props.onClose}>
      <Panel {...props} />
    </Dialog>
  )
}
