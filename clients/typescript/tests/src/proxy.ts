// A proxy that cuts connections, as a bad network does.
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

/**
 * What the proxy does with the next part of a response: send it, cut the connection before or after its first bytes, or
 * nothing.
 */
export type Fate = 'pass' | 'lose' | 'cut' | 'hang'

export class Proxy {
  readonly url: string
  readonly close: () => Promise<void>
  /** Resolves when a connection hangs. */
  readonly hung: Promise<void>

  private constructor(url: string, hung: Promise<void>, close: () => Promise<void>) {
    this.url = url
    this.hung = hung
    this.close = close
  }

  /** start passes connections on to a server on this machine. */
  static async start(url: string, fateOf: (part: Buffer) => Fate | Promise<Fate>): Promise<Proxy> {
    const port = Number(new URL(url).port)
    let hang!: () => void
    const hung = new Promise<void>((resolve) => (hang = resolve))
    const sockets = new Set<Socket>()
    const server = createServer((client) => {
      const upstream = connect(port, '127.0.0.1')
      for (const socket of [client, upstream]) {
        sockets.add(socket)
        socket.on('error', () => {})
        socket.on('close', () => {
          client.destroy()
          upstream.destroy()
        })
      }
      client.pipe(upstream)
      upstream.on('data', async (part: Buffer) => {
        const fate = await fateOf(part)
        if (fate === 'hang') return hang()
        if (fate === 'cut') client.write(part.subarray(0, 20))
        if (fate === 'pass') client.write(part)
        else client.destroySoon()
      })
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    return new Proxy(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, hung, async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    })
  }
}
