// Parts that are loaded when they are first needed: the first load has a budget (build.mjs).
import type { ComponentChildren, ComponentType } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { toast } from './toast'

/** lazy makes a component that renders nothing until its code is loaded. */
export function lazy<P extends object>(load: () => Promise<ComponentType<P>>): ComponentType<P> {
  let Loaded: ComponentType<P> | undefined
  return function Lazy(props: P) {
    const [, rerender] = useState({})
    useEffect(() => {
      if (Loaded) return
      load().then((component) => {
        Loaded = component
        rerender({})
      }, couldNotLoad)
    }, [])
    return Loaded ? <Loaded {...props} /> : null
  }
}

/** loadStylesheet loads the style sheet of a page that is loaded later. Its address is in index.html: see build.mjs. */
export function loadStylesheet(page: string): Promise<void> {
  const link = document.createElement('link')
  link.rel = 'stylesheet'
  link.href = document.querySelector<HTMLMetaElement>(`meta[name=${page}-stylesheet]`)!.content
  return new Promise((resolve, reject) => {
    link.onload = () => resolve()
    link.onerror = () => reject(new Error(`${link.href} cannot be loaded`))
    document.head.append(link)
  })
}

// TriggerProps describe the button that opens a popup.
export interface TriggerProps {
  /** What the button shows. */
  trigger: ComponentChildren
  /** The button's accessible name, where `trigger` is not enough. */
  label?: string | undefined
  /** The button's CSS classes; `button` by default. */
  triggerClass?: string | undefined
  tabIndex?: number | undefined
  /** Opens without a click. */
  opened?: boolean | undefined
}

// onDemand makes a component that is a plain button until it is first used, and from then on the popup with its own
// trigger, open at first. So rows with a popup each stay cheap.
export function onDemand<P extends TriggerProps>(
  kind: 'menu' | 'dialog',
  load: () => Promise<ComponentType<P>>,
): ComponentType<P> {
  let Loaded: ComponentType<P> | undefined
  const preload = () =>
    void load().then(
      (component) => (Loaded = component),
      () => undefined,
    )
  return function OnDemand(props: P) {
    const [used, setUsed] = useState(false)
    const alive = useRef(true)
    useEffect(() => () => void (alive.current = false), [])
    const use = () =>
      load().then((component) => {
        Loaded = component
        if (alive.current) setUsed(true)
      }, couldNotLoad)
    useEffect(() => void (props.opened && use()), [])
    if (used && Loaded) return <Loaded {...props} />
    return (
      <button
        type="button"
        class={props.triggerClass ?? 'button'}
        aria-label={props.label}
        tabIndex={props.tabIndex}
        aria-haspopup={kind}
        aria-expanded={false}
        onPointerEnter={preload}
        onFocus={preload}
        onClick={use}
      >
        {props.trigger}
      </button>
    )
  }
}

function couldNotLoad(error: unknown): void {
  console.error('loading a part of the console:', error)
  // The gateway is away, or has another release since: only a reload gets the names of its files.
  toast('This part of the page cannot be loaded. Reload the page.')
}
