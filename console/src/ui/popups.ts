// Menus, pickers and popovers, loaded at their first use.
import { onDemand } from './lazy'
import type { MenuProps } from './popups/menu'
import type { PickerProps } from './popups/picker'
import type { PopoverProps } from './popups/popover'

/** A button that opens a list of actions. */
export const Menu = onDemand<MenuProps>('menu', () => import('./popups/menu').then((m) => m.Menu))

/** A button that opens a list to choose one value from, with a search where the list is long. */
export const Picker = onDemand<PickerProps>('dialog', () => import('./popups/picker').then((m) => m.Picker))

/** A button that opens any content. */
export const Popover = onDemand<PopoverProps>('dialog', () => import('./popups/popover').then((m) => m.Popover))
