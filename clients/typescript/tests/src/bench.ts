// What the middleware costs a call above the round trip of its check: node build/bench.js in the folder that ../test makes.
import { EventEmitter } from 'node:events'

import { Keytrail, type components } from '@keytrail/client'

const check: components['schemas']['CheckResponse'] = {
  ...{ allowed: true, httpStatus: 200, requestLogId: 'r', workspaceId: 'acme', keyId: 'k', keyName: 'n', keyLast4: 'abcd' },
  ...{ externalId: 'c', metadata: { plan: 'pro' }, reportToken: 't'.repeat(400) },
}
const keytrail = new Keytrail({ url: 'http://127.0.0.1:1', token: 'none' })
// The round trips take no time.
const calls = Object.assign(keytrail, { check: async () => check, report: async () => ({ refused: [] }) })
const { express } = calls.middleware({ workspaceId: 'acme' })

class Response extends EventEmitter {
  statusCode = 200
  headersSent = false
  destroyed = false
  setHeader() {}
  end() {
    this.headersSent = true
    this.emit('finish')
    this.emit('close')
  }
  destroy() {}
}

const req = () => ({ method: 'POST', url: '/v1/agents/a1/messages?x=1', headers: { 'api-key': 'sk_abcdefghijklmnopqrstuvwxyz' } })

/** measure returns the microseconds of a call. */
async function measure(n: number, call: (res: Response, next: () => void) => void): Promise<number> {
  const began = performance.now()
  for (let i = 0; i < n; i++) {
    const res = new Response()
    await new Promise<void>((resolve) => call(res, resolve))
    res.end()
  }
  return ((performance.now() - began) / n) * 1000
}

// The same without the middleware: the check alone.
const without = (res: Response, next: () => void) =>
  void calls.check({ agentType: 'agent' }).then(() => (res.once('finish', () => {}), next()))
for (let round = 0; round < 5; round++) {
  const n = 200_000
  const alone = await measure(n, without)
  const all = await measure(n, (res, next) => express(req(), res, next))
  console.log(`${(all - alone).toFixed(1)} µs a call`)
}
