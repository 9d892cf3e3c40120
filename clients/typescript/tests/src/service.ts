// The service that the tests call, and what it has recorded.
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'

import { Keytrail, type components } from '@keytrail/client'

export const workspaceId = 'acme'
export type Row = components['schemas']['RequestLog']

const binary = process.env.KEYTRAIL_BINARY!

/** Service is `keytrail serve` on free ports with a client for all roles. */
export class Service {
  readonly url: string
  readonly checkerToken: string
  readonly adminToken: string
  readonly admin: Keytrail
  readonly checker: Keytrail
  readonly stop: () => Promise<void>

  private constructor(url: string, token: (role: string) => string, stop: () => Promise<void>) {
    this.url = url
    this.checkerToken = token('checker')
    this.adminToken = token('admin')
    this.admin = new Keytrail({ url, token: this.adminToken })
    this.checker = new Keytrail({ url, token: this.checkerToken })
    this.stop = stop
  }

  static async start(): Promise<Service> {
    const folder = mkdtempSync(join(tmpdir(), 'keytrail-'))
    const env = { ...process.env, KEYTRAIL_DATA_DIR: folder }
    const addrs = ['gateway', 'auth', 'logs', 'ops'].flatMap((name) => [`--${name}-addr`, '127.0.0.1:0'])
    const server = spawn(binary, ['serve', ...addrs], { env, stdio: ['ignore', 'ignore', 'pipe'] })
    const log: string[] = []
    let url: string | undefined
    for await (const line of createInterface(server.stderr)) {
      log.push(line)
      url = /^ *console *(http:\S*)/.exec(line)?.[1]
      if (url) break
    }
    assert.ok(url, `keytrail serve has not printed its address: ${log.join('\n')}`)
    server.stderr.resume()
    const token = (role: string) =>
      execFileSync(binary, ['token', 'create', '--role', role, '--workspace', workspaceId], { env, encoding: 'utf8' }).trim()
    return new Service(new URL(url).origin, token, async () => {
      const exited = once(server, 'exit')
      server.kill()
      await exited
      rmSync(folder, { recursive: true })
    })
  }

  /** secret creates a key for all agents of the type agent, and returns its secret. */
  async secret(key: Partial<components['schemas']['KeyInput']> = {}): Promise<string> {
    const input = { name: 'test', scopes: ['agent'], allAgents: !key.agentIds, ...key }
    return (await this.admin.keys.create(workspaceId, input)).secret
  }

  /** rows waits until the rows of an agent fulfil a condition, for 50 seconds or more, and returns them. */
  async rows(agentId: string, enough: (rows: Row[]) => boolean): Promise<Row[]> {
    for (let attempt = 0; ; attempt++) {
      const rows: Row[] = []
      for await (const row of this.admin.logs.iterate(workspaceId, { agentId })) rows.push(row)
      if (enough(rows) || attempt === 500) return rows
      await setTimeout(100)
    }
  }

  /**
   * inProgress waits until the row of a call is there, and expects that the call is not reported yet. It returns how long that
   * took.
   */
  async inProgress(agentId: string): Promise<number> {
    const began = performance.now()
    const rows = await this.rows(agentId, (rows) => rows.length > 0)
    assert.deepEqual(
      rows.map(({ status, latencyMs }) => [status, latencyMs]),
      [[0, undefined]],
    )
    return performance.now() - began
  }

  /** row waits until the only row of an agent was reported. */
  async row(agentId: string): Promise<Row> {
    const [row, ...others] = await this.rows(agentId, (rows) => rows.some((row) => row.latencyMs !== undefined))
    assert.ok(row, `${agentId} has no row`)
    assert.deepEqual(others, [], `${agentId} has more than one row`)
    assert.notEqual(row.latencyMs, undefined, `${agentId} was not reported`)
    return row
  }
}
