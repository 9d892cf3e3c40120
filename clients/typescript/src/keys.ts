import type { CallOptions, Transport } from './transport.js'
import type { components, operations } from './gen/openapi.js'

type Schemas = components['schemas']
type Query<Operation extends keyof operations> = NonNullable<operations[Operation]['parameters']['query']>

/** The API keys of workspaces. Reading them needs the role `viewer`, changing them `admin`. */
export class Keys {
  readonly #transport: Transport

  constructor(transport: Transport) {
    this.#transport = transport
  }

  /**
   * create makes a key. Its secret is in this response and nowhere else. With a `requestId`, a call that is repeated within 24
   * hours makes no second key: it fails with `REQUEST_ID_USED`, whose metadata has the `key_id`.
   */
  create(
    workspaceId: string,
    key: Schemas['KeyInput'],
    query?: Query<'createKey'>,
    options?: CallOptions,
  ): Promise<Schemas['CreateKeyResponse']> {
    return this.#transport.json({ ...options, method: 'POST', path: keysPath(workspaceId), query, body: key, safe: false })
  }

  async get(workspaceId: string, keyId: string, options?: CallOptions): Promise<Schemas['Key']> {
    const call = { ...options, method: 'GET', path: keysPath(workspaceId, keyId), safe: true } as const
    return (await this.#transport.json<Schemas['GetKeyResponse']>(call)).key
  }

  /** list returns one page. The next one is got with `pageToken`, the `nextPageToken` of this one; empty after the last. */
  list(workspaceId: string, query?: Query<'listKeys'>, options?: CallOptions): Promise<Schemas['ListKeysResponse']> {
    return this.#transport.json({ ...options, method: 'GET', path: keysPath(workspaceId), query, safe: true })
  }

  /** iterate returns the keys of all pages. The `timeoutMs` holds for each page. */
  async *iterate(workspaceId: string, query?: Query<'listKeys'>, options?: CallOptions): AsyncGenerator<Schemas['Key'], void> {
    let pageToken = query?.pageToken
    do {
      const page: Schemas['ListKeysResponse'] = await this.list(
        workspaceId,
        { ...query, ...(pageToken && { pageToken }) },
        options,
      )
      yield* page.keys
      pageToken = page.nextPageToken
    } while (pageToken)
  }

  /**
   * update changes the fields that the patch has, or those of `updateMask`. With the `etag` of the key, only if it is still the
   * same.
   */
  async update(
    workspaceId: string,
    keyId: string,
    patch: Schemas['KeyPatch'],
    query?: Query<'updateKey'>,
    options?: CallOptions,
  ): Promise<Schemas['Key']> {
    const call = { ...options, method: 'PATCH', path: keysPath(workspaceId, keyId), query, body: patch, safe: false } as const
    return (await this.#transport.json<Schemas['UpdateKeyResponse']>(call)).key
  }

  /** rotate gives the key a new secret. The old one is valid for `gracePeriod` more, e.g. `3600s`; 24 hours by default. */
  rotate(
    workspaceId: string,
    keyId: string,
    request: Schemas['RotateKeyRequest'] = {},
    options?: CallOptions,
  ): Promise<Schemas['RotateKeyResponse']> {
    return this.#transport.json({
      ...options,
      method: 'POST',
      path: `${keysPath(workspaceId, keyId)}:rotate`,
      body: request,
      safe: false,
    })
  }

  async delete(workspaceId: string, keyId: string, query?: Query<'deleteKey'>, options?: CallOptions): Promise<void> {
    await this.#transport.json({ ...options, method: 'DELETE', path: keysPath(workspaceId, keyId), query, safe: false })
  }
}

function keysPath(workspaceId: string, keyId?: string): string {
  const path = `/v1/workspaces/${encodeURIComponent(workspaceId)}/keys`
  return keyId === undefined ? path : `${path}/${encodeURIComponent(keyId)}`
}
