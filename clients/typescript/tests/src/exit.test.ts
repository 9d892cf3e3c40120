// How the process of a backend ends.
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { after, test } from 'node:test'

import { Proxy } from './proxy.js'
import { Service, workspaceId } from './service.js'

const service = await Service.start()
const secret = await service.secret()
after(() => service.stop())

/** start starts a backend, whose service is at url. */
async function start(t: { after(stop: () => void): void }, url: string) {
  const script = new URL('backend.js', import.meta.url).pathname
  const child = spawn(process.execPath, [script, url, service.checkerToken, workspaceId], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.after(() => child.kill('SIGKILL'))
  const lines = createInterface(child.stdout)
  const [at] = (await once(lines, 'line')) as [string]
  const call = (id: string, action: string) => fetch(`${at}/v1/agents/${id}/${action}`, { headers: { 'api-key': secret } })
  return { child, lines, call }
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<unknown[]> {
  const exited = once(child, 'exit')
  child.kill(signal)
  return exited
}

test('SIGTERM: nothing is lost', { timeout: 20_000 }, async (t) => {
  const { child, lines, call } = await start(t, service.url)
  const held = call('sigterm', 'hold')
  await once(lines, 'line')
  await Promise.all(Array.from({ length: 50 }, () => call('sigterm', 'ok')))
  assert.deepEqual(await end(child, 'SIGTERM'), [0, null])
  assert.equal((await held).status, 200)
  const rows = await service.rows('sigterm', (rows) => rows.length === 51 && rows.every(({ status }) => status === 200))
  assert.equal(rows.filter(({ status, latencyMs }) => status === 200 && latencyMs !== undefined).length, 51)
  assert.equal(rows.length, 51)
})

test('kill -9: the call that was served stays in progress', { timeout: 20_000 }, async (t) => {
  const { child, lines, call } = await start(t, service.url)
  const held = assert.rejects(call('sigkill', 'hold'))
  await once(lines, 'line')
  await end(child, 'SIGKILL')
  await held
  const rows = await service.rows('sigkill', (rows) => rows.length > 0)
  assert.deepEqual(
    rows.map(({ status, latencyMs }) => [status, latencyMs]),
    [[0, undefined]],
  )
})

test('reports that wait do not keep a process running', { timeout: 20_000 }, async (t) => {
  let checks = 0
  const proxy = await Proxy.start(service.url, () => (checks++ === 0 ? 'pass' : 'lose'))
  const { child, call } = await start(t, proxy.url)
  assert.equal((await call('exit', 'ok')).status, 200)
  assert.deepEqual(await end(child, 'SIGUSR2'), [0, null])
  await proxy.close()
})
