import { KeytrailError } from '../error.js'
import { AgentPaths } from './agentPath.js'
import { Ongoing, type Agent, type Identity, type IncomingCall } from './call.js'
import { fastifyPlugin } from './fastify.js'
import { honoMiddleware } from './hono.js'
import { expressMiddleware, httpListener } from './node.js'
import { denied, unavailable, unknownPath, type Refusal } from './refusal.js'
import { aborted, Reporter } from './reporter.js'
import { Secrets } from './secrets.js'
import { Warnings } from './warnings.js'
import type { Keytrail } from '../keytrail.js'
import type { components } from '../gen/openapi.js'

type CheckResponse = components['schemas']['CheckResponse']

/** What a {@link Middleware} reads from a call, and what it does without the service. */
export interface MiddlewareOptions {
  /**
   * Path templates, in the order in which they are tried; `/v1/{agent_type}s/{agent_id}/…` by default. A path that matches none
   * is refused with 403.
   */
  agentPaths?: string[]
  /** Returns the called agent, instead of `agentPaths`. A call is refused with 403 if it returns undefined. */
  agent?: (call: IncomingCall) => Agent | undefined
  /**
   * The workspace that owns the agents. A path with another one is refused with 403; the function `agent` may return another
   * one. Without any, the token must be for all workspaces.
   */
  workspaceId?: string
  /**
   * The headers that may have the caller's secret; the first one that is not empty counts. By default `api-key`, then
   * `authorization`, in which only a bearer token that begins with `sk_` is a secret.
   */
  apiKeyHeaders?: string[]
  /**
   * Serve calls, unchecked and without a row, while the service cannot be reached or is not ready. By default they are refused
   * with 503. Calls whose check fails in another way, e.g. for a token that is not valid, are always refused.
   */
  failOpen?: boolean
  /** How long a check may take in milliseconds, repetitions included; 2,000 by default. */
  checkTimeoutMs?: number
  /** Logs errors of checks and of reports, each at most once a minute; `console.warn` by default. It must not throw. */
  onError?: (error: unknown) => void
}

/** What has happened since the start. Each call counts once among the first five. */
export interface MiddlewareStats {
  /** Calls that were checked. */
  allowed: number
  denied: number
  /** Calls that were refused with 403, because they name no agent of a known type, or one of a workspace that is not served. */
  unknownPath: number
  /** Calls that were refused with 503, because they could not be checked. */
  refused: number
  /** Calls that were served although they could not be checked: see `failOpen`. */
  unchecked: number
  /** Reports that were accepted by the service. */
  reportsSent: number
  /** Reports that were refused by it: their tokens are not valid any more. */
  reportsRefused: number
  /** Reports that were given up, because 65,536 others waited or the middleware was closed. Their rows stay without latency. */
  reportsDropped: number
  /** Reports that wait to be sent now. */
  reportsPending: number
}

/** How a call is decided: refused, or served, with an identity if it was checked. */
export interface Decision {
  refusal?: Refusal
  identity?: Identity
  /** Empty where the call cannot be reported. */
  reportToken?: string
}

/**
 * Checks every call of a backend, and reports the status and the latency that its caller got. Reports are sent in the
 * background, in batches, until they are acknowledged.
 */
export class Middleware {
  /** For Express 4 and 5: `app.use(middleware.express)`. An allowed request has its caller as `req.keytrail`. */
  readonly express = expressMiddleware(this)
  /** For Hono: `app.use(middleware.hono)`. The variable `keytrail` of an allowed request is its caller. */
  readonly hono = honoMiddleware(this)
  /** For Fastify: `app.register(middleware.fastify)`. An allowed request has its caller as `request.keytrail`. */
  readonly fastify = fastifyPlugin(this)
  /** For node:http: `createServer(middleware.http(listener))`. An allowed request has its caller as `req.keytrail`. */
  readonly http = httpListener(this)

  readonly #keytrail: Keytrail
  readonly #options: MiddlewareOptions
  readonly #paths: AgentPaths
  readonly #secrets: Secrets
  readonly #reporter: Reporter
  readonly #warnings: Warnings
  /** Calls whose outcome is not known yet. */
  readonly #ongoing = new Set<Promise<void>>()
  readonly #counts = { allowed: 0, denied: 0, unknownPath: 0, refused: 0, unchecked: 0 }

  /** @internal */
  constructor(keytrail: Keytrail, options: MiddlewareOptions = {}) {
    this.#keytrail = keytrail
    this.#options = options
    this.#paths = new AgentPaths(options.agentPaths ?? ['/v1/{agent_type}s/{agent_id}/…'])
    this.#secrets = new Secrets(options.apiKeyHeaders)
    this.#warnings = new Warnings(options.onError)
    this.#reporter = new Reporter(keytrail, this.#warnings)
  }

  get stats(): MiddlewareStats {
    return { ...this.#counts, ...this.#reporter.stats }
  }

  /**
   * close waits until all checked calls have ended and their reports are acknowledged, for 10 seconds by default. Call it when
   * the server accepts no more calls, before the process ends.
   */
  async close({ timeoutMs = 10_000 } = {}): Promise<void> {
    const deadline = new AbortController()
    const stop = aborted(deadline.signal)
    // This timer also keeps the process running meanwhile.
    const timer = setTimeout(() => deadline.abort(), timeoutMs)
    while (this.#ongoing.size > 0 && !deadline.signal.aborted) await Promise.race([Promise.all(this.#ongoing), stop])
    await this.#reporter.close(deadline.signal)
    clearTimeout(timer)
  }

  /**
   * @internal decide checks a call, and reports it when it has ended. It rejects only with an error of a function of the
   * options.
   */
  decide(call: IncomingCall, ongoing: Ongoing): Promise<Decision> {
    const decision = this.#decide(call)
    const reported = this.#reportWhenEnded(decision, ongoing).finally(() => this.#ongoing.delete(reported))
    this.#ongoing.add(reported)
    return decision
  }

  async #reportWhenEnded(decision: Promise<Decision>, ongoing: Ongoing): Promise<void> {
    const { reportToken } = await decision.catch((): Decision => ({}))
    if (reportToken) this.#reporter.add({ reportToken, ...(await ongoing.ended) })
  }

  async #decide(call: IncomingCall): Promise<Decision> {
    const agent = this.#options.agent ? this.#options.agent(call) : this.#agentOfPath(call.path)
    if (!agent) return this.#refuseUnknownPath()
    const request = {
      apiKey: this.#secrets.of(call),
      agentType: agent.agentType,
      agentId: agent.agentId ?? '',
      method: call.method,
      // A query may have secrets.
      endpoint: (call.endpoint ?? call.path).replace(/[?#].*$/s, ''),
      workspaceId: agent.workspaceId || this.#options.workspaceId || '',
    }
    try {
      return this.#checked(await this.#keytrail.check(request, { timeoutMs: this.#options.checkTimeoutMs ?? 2000 }))
    } catch (error) {
      return this.#failed(error, agent)
    }
  }

  /** #agentOfPath returns undefined for an agent of another workspace than that of the options. */
  #agentOfPath(path: string): Agent | undefined {
    const agent = this.#paths.match(path)
    const { workspaceId } = this.#options
    return agent?.workspaceId && workspaceId && agent.workspaceId !== workspaceId ? undefined : agent
  }

  #checked(check: CheckResponse): Decision {
    const { allowed, reportToken } = check
    this.#counts[allowed ? 'allowed' : 'denied']++
    return allowed
      ? { identity: identityOf(check), reportToken }
      : { refusal: denied(check, this.#secrets.challenge), reportToken }
  }

  #failed(error: unknown, agent: Agent): Decision {
    const ofAgent = this.#isOfAgent(error, agent)
    const invalid = error instanceof KeytrailError && error.status === 400
    // A caller must not be able to hide other errors by its paths.
    this.#warnings.warn(ofAgent || invalid ? 'invalid check' : 'check', error)
    if (ofAgent) return this.#refuseUnknownPath()
    // A caller must not be able to get past the check by a request that makes it fail.
    if (this.#options.failOpen && error instanceof KeytrailError && error.unavailable) {
      this.#counts.unchecked++
      return {}
    }
    this.#counts.refused++
    return { refusal: unavailable }
  }

  /**
   * #isOfAgent reports whether an error is about the called agent: its type is unknown, or its workspace is not valid, or the
   * token does not hold for it. If that is the workspace of the options, the token is wrong, and not the call.
   */
  #isOfAgent(error: unknown, { workspaceId }: Agent): boolean {
    if (!(error instanceof KeytrailError)) return false
    const { status, reason, metadata } = error
    if (reason === 'WORKSPACE_FORBIDDEN') return !!workspaceId && workspaceId !== this.#options.workspaceId
    return status === 400 && (metadata.field === 'agent_type' || metadata.field === 'workspace_id')
  }

  #refuseUnknownPath(): Decision {
    this.#counts.unknownPath++
    return { refusal: unknownPath }
  }
}

function identityOf(check: CheckResponse): Identity {
  const { workspaceId, keyId, keyName, keyLast4, externalId, metadata, requestLogId } = check
  return { workspaceId, keyId, keyName, keyLast4, externalId, metadata, requestLogId }
}
