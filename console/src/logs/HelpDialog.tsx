import { Dialog } from '../ui/popups/dialog'

const shortcuts: ReadonlyArray<[keys: string[], what: string]> = [
  [['/'], 'Search by endpoint'],
  [['j', '↓'], 'Next, older call'],
  [['k', '↑'], 'Previous, newer call'],
  [['Enter'], 'Open the call'],
  [['Esc'], 'Close the call'],
  [['l'], 'Live on or off'],
  [['?'], 'This help'],
]

/** HelpDialog lists the keys that the page understands. */
export function HelpDialog({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title="Keyboard" onClose={onClose}>
      <dl class="shortcuts">
        {shortcuts.map(([keys, what]) => (
          <div key={what}>
            <dt>{what}</dt>
            <dd>
              {keys.map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dd>
          </div>
        ))}
      </dl>
      <div class="actions">
        <button type="button" class="button" onClick={onClose}>
          Close
        </button>
      </div>
    </Dialog>
  )
}
