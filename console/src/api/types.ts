// Short names for the messages of the API.
import type { components } from './schema'

type Schemas = components['schemas']
export type Catalog = Schemas['GetCatalogResponse']
export type ErrorCode = Schemas['ErrorCode']
export type Key = Schemas['Key']
export type KeyInput = Schemas['KeyInput']
export type KeyPatch = Schemas['KeyPatch']
export type LogKey = Schemas['LogKey']
export type RequestLog = Schemas['RequestLog']
export type Session = Schemas['GetSessionResponse']
export type Summary = Schemas['SummarizeRequestLogsResponse']
export type SummaryCount = Schemas['SummaryCount']
