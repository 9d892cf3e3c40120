// The few pictures that everybody knows.

export const Logo = () => (
  <svg width="20" height="20" viewBox="0 0 20 20" fill="none" stroke="currentColor" stroke-width="2" aria-hidden="true">
    <circle cx="6.5" cy="10" r="4.2" />
    <path d="M10.7 10H19M15 10v3.4M18 10v2.4" stroke-linecap="round" />
  </svg>
)

export const Chevron = () => (
  <svg class="chevron" width="10" height="10" viewBox="0 0 10 10" fill="none" stroke="currentColor" aria-hidden="true">
    <path d="M2 3.5 5 6.5 8 3.5" stroke-width="1.3" stroke-linecap="round" stroke-linejoin="round" />
  </svg>
)

export const Cross = () => (
  <svg width="12" height="12" viewBox="0 0 12 12" fill="none" stroke="currentColor" aria-hidden="true">
    <path d="m2 2 8 8m0-8-8 8" stroke-width="1.4" stroke-linecap="round" />
  </svg>
)

export const Funnel = () => (
  <svg width="14" height="14" viewBox="0 0 14 14" fill="none" stroke="currentColor" aria-hidden="true">
    <path d="M2 3.5h10M4 7h6M6 10.5h2" stroke-width="1.3" stroke-linecap="round" />
  </svg>
)

export const CopyIcon = () => (
  <svg width="14" height="14" viewBox="0 0 14 14" fill="none" stroke="currentColor" aria-hidden="true">
    <rect x="4.5" y="4.5" width="7" height="7" rx="1.5" stroke-width="1.2" />
    <path d="M9.5 4.5V3.4a1 1 0 0 0-1-1H3.4a1 1 0 0 0-1 1v5.1a1 1 0 0 0 1 1h1.1" stroke-width="1.2" />
  </svg>
)

export const Tick = () => (
  <svg width="14" height="14" viewBox="0 0 14 14" fill="none" stroke="currentColor" aria-hidden="true">
    <path d="m2.5 7.5 3 3 6-7" stroke-width="1.5" stroke-linecap="round" stroke-linejoin="round" />
  </svg>
)

export const Dots = () => (
  <svg width="16" height="16" viewBox="0 0 16 16" fill="currentColor" aria-hidden="true">
    <circle cx="3" cy="8" r="1.3" />
    <circle cx="8" cy="8" r="1.3" />
    <circle cx="13" cy="8" r="1.3" />
  </svg>
)
