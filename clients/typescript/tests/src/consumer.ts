// What a program writes that has neither a framework nor the types of Node. It is compiled, and never run.
import { Keytrail, KeytrailError, type components, type HonoVariables, type Identity } from '@keytrail/client'

const keytrail = new Keytrail({ url: 'http://127.0.0.1:8080', token: async () => 'token' })
export const middleware = keytrail.middleware({ workspaceId: 'acme', failOpen: true })
export const variables: HonoVariables = { keytrail: undefined }

export async function read(signal: AbortSignal): Promise<Identity | undefined> {
  for await (const key of keytrail.keys.iterate('acme', { state: 'enabled' }, { signal })) console.log(key.name)
  const rows: components['schemas']['RequestLog'][] = (await keytrail.logs.list('acme')).requestLogs
  try {
    // @ts-expect-error: agentType is required
    await keytrail.check({ apiKey: '' })
    // @ts-expect-error: a page size is a number
    await keytrail.logs.list('acme', { pageSize: '10' })
  } catch (error) {
    if (error instanceof KeytrailError) console.log(error.status, error.reason, error.metadata.field, rows.length)
  }
  return variables.keytrail
}
