// What opens over the page of keys. Loaded when it is first needed.
import type { Key } from '../../api/types'
import type { WithSecret } from '../changes'
import type { LastUse } from '../useLastUse'
import { CreateDialog } from './CreateDialog'
import { DeleteDialog } from './DeleteDialog'
import { DetailsDialog } from './DetailsDialog'
import { EditDialog } from './EditDialog'
import { RotateDialog } from './RotateDialog'
import { SecretDialog } from './SecretDialog'
import { ToggleDialog } from './ToggleDialog'

/** What is open, and for which key. */
export type Opened =
  | { kind: 'create' }
  | { kind: 'details' | 'toggle' | 'delete'; key: Key }
  | { kind: 'edit'; key: Key; field: string }
  | { kind: 'rotate'; key: Key; graceSeconds: number }
  | ({ kind: 'secret'; rotated: boolean } & WithSecret)

/** What dialogs can do to the page. */
export interface DialogsProps {
  opened: Opened
  workspace: string
  use: LastUse
  mayChange: boolean
  put: (key: Key) => void
  remove: (id: string) => void
  open: (opened: Opened) => void
  edit: (key: Key) => void
  close: () => void
  /** Says what was done. */
  onDone: (text: string) => void
  finalFocus: () => HTMLElement | null
}

export function Dialogs(props: DialogsProps) {
  const { opened } = props
  switch (opened.kind) {
    case 'create':
      return <CreateDialog {...props} />
    case 'secret':
      return <SecretDialog {...props} opened={opened} />
    case 'edit':
      return <EditDialog key={opened.key.id} {...props} opened={opened} />
    case 'details':
      return <DetailsDialog {...props} apiKey={opened.key} />
    case 'rotate':
      return <RotateDialog {...props} opened={opened} />
    case 'toggle':
      return <ToggleDialog {...props} apiKey={opened.key} />
    case 'delete':
      return <DeleteDialog {...props} apiKey={opened.key} />
  }
}
