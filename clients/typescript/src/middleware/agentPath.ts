import type { Agent } from './call.js'

/** A part of a template between two slashes. Without a field, `before` is the whole segment. */
interface Segment {
  before: string
  after: string
  field?: keyof Agent
}

interface Template {
  agentType: string
  segments: Segment[]
}

const fields: Record<string, keyof Agent> = { workspace_id: 'workspaceId', agent_type: 'agentType', agent_id: 'agentId' }

/**
 * Path templates, in the order in which they are tried.
 *
 * A template is a path whose segments are literal, or have one placeholder each, with literal text around it: `{workspace_id}`,
 * `{agent_type}` or `{agent_id}`. It matches the path and every path below it; `/…` at the end has no meaning. A template without
 * `{agent_type}` begins with the type: `agent=/v1/bots/{agent_id}`. Hyphens of a type in a path become underscores.
 */
export class AgentPaths {
  readonly #templates: Template[]

  constructor(texts: readonly string[]) {
    this.#templates = texts.map((text) => {
      try {
        return parse(text)
      } catch (error) {
        throw new TypeError(`agentPaths: ${JSON.stringify(text)}: ${(error as Error).message}`)
      }
    })
  }

  /**
   * match reads a path as it was sent: percent-encoded, and with or without a query. It returns undefined if no template
   * matches, and for a path that the service behind may read in another way: with an empty segment, `.`, `..`, a backslash or a
   * `#`, with an encoded slash, or with a control character.
   */
  match(path: string): Required<Agent> | undefined {
    const segments = split(path)
    if (!segments) return undefined
    for (const template of this.#templates) {
      const agent = matchTemplate(template, segments)
      if (agent) return agent
    }
    return undefined
  }
}

function parse(text: string): Template {
  const agentType = /^([a-z0-9_]{1,63})=\//.exec(text)?.[1] ?? ''
  let path = agentType ? text.slice(agentType.length + 1) : text
  if (!path.startsWith('/')) throw new Error('must begin with /, or with TYPE=/')
  path = path.replace(/\/…$/, '') || '/'
  const segments = segmentsOf(path).map(parseSegment)
  const used = segments.flatMap((segment) => segment.field ?? [])
  if (new Set(used).size < used.length) throw new Error('has a placeholder twice')
  if (used.includes('agentType') === (agentType !== '')) {
    throw new Error('must have either {agent_type} or begin with the type, e.g. agent=/v1/bots/{agent_id}')
  }
  return { agentType, segments }
}

function parseSegment(text: string): Segment {
  const [, before, name, after] = /^([^{}]*)(?:\{([^{}]*)\}([^{}]*))?$/.exec(text) ?? []
  if (before === undefined || text === '') throw new Error(`the segment "${text}" is empty, or has braces that do not match`)
  if (name === undefined) return { before, after: '' }
  const field = Object.hasOwn(fields, name) ? fields[name] : undefined
  if (!field) throw new Error(`the segment "${text}" must have one of {workspace_id}, {agent_type} and {agent_id}`)
  return { before, after: after!, field }
}

/** split returns the decoded segments of a path; undefined if servers differ in how they read it. */
function split(path: string): string[] | undefined {
  const name = path.split('?', 1)[0]!
  if (!name.startsWith('/') || name.includes('#')) return undefined
  try {
    const segments = segmentsOf(name).map(decodeURIComponent)
    return segments.every(unambiguous) ? segments : undefined
  } catch {
    return undefined
  }
}

/** segmentsOf returns the segments of a path that begins with a slash; none of the root. */
function segmentsOf(path: string): string[] {
  return path === '/' ? [] : path.slice(1).replace(/\/$/, '').split('/')
}

function unambiguous(segment: string): boolean {
  // Some servers remove what follows a semicolon before they look for dots.
  const name = segment.split(';', 1)[0]
  return name !== '' && name !== '.' && name !== '..' && !/[/\\\x00-\x1f\x7f]/.test(segment)
}

function matchTemplate(template: Template, segments: string[]): Required<Agent> | undefined {
  const agent = { workspaceId: '', agentType: template.agentType, agentId: '' }
  for (const [i, { before, after, field }] of template.segments.entries()) {
    const text = segments[i]
    if (text === undefined) return undefined
    if (!field) {
      if (text !== before) return undefined
      continue
    }
    if (text.length <= before.length + after.length || !text.startsWith(before) || !text.endsWith(after)) return undefined
    const value = text.slice(before.length, text.length - after.length)
    // Paths are often written with hyphens; types have none.
    agent[field] = field === 'agentType' ? value.replaceAll('-', '_') : value
  }
  return agent
}
