// A backend as a process of its own. It prints its address, and "called" for each call that it holds.
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

import { Keytrail } from '@keytrail/client'

const [url = '', token = '', workspaceId = ''] = process.argv.slice(2)
const middleware = new Keytrail({ url, token }).middleware({ workspaceId, onError: () => {} })
const held: (() => void)[] = []
const server = createServer(
  middleware.http((req, res) => {
    if (!req.url!.endsWith('/hold')) return res.end()
    held.push(() => res.end())
    console.log('called')
  }),
)
process.once('SIGTERM', async () => {
  server.close()
  for (const release of held) release()
  await middleware.close()
})
// The process ends by itself, without close.
process.once('SIGUSR2', () => {
  server.close()
  server.closeAllConnections()
})
await once(server.listen(0, '127.0.0.1'), 'listening')
console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
