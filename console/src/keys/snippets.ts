// The first call with a new key, ready to paste. It is the check that a backend makes before it serves a call: the only call of
// which the console knows the address, and one that leaves a row at once. The platform's own API is where the callers of the
// key go; its address is not known here.
import type { Key } from '../api/types'

export interface Snippet {
  language: string
  /** With the secret as it is given: whole to copy, shortened to show. */
  text: string
}

/** shorten writes a secret so that it can be recognised, not used: sk_1CHz…12p5. */
export const shorten = (secret: string): string => `${secret.slice(0, 7)}…${secret.slice(-4)}`

/** snippetsFor returns the check of a call that the key allows, at this gateway. */
export function snippetsFor(key: Key, secret: string, origin: string): Snippet[] {
  const agentType = key.scopes[0] ?? 'agent'
  const agentId = key.agentIds[0] ?? 'support-bot'
  const call = {
    apiKey: secret,
    agentType,
    agentId,
    method: 'POST',
    endpoint: `/v1/${agentType}s/${encodeURIComponent(agentId)}/messages`,
    workspaceId: key.workspaceId,
  }
  const url = `${origin}/v1/check`
  return [
    { language: 'curl', text: curl(url, call) },
    { language: 'Go', text: go(url, call) },
    { language: 'TypeScript', text: typescript(url, call) },
  ]
}

type Call = Record<string, string>

const curl = (url: string, call: Call) => `TOKEN=$(keytrail token create --role checker \\
  --workspace ${call.workspaceId})
curl ${url} \\
  -H "Authorization: Bearer $TOKEN" -d ${shellQuote(`{
${lines(call, (name, value) => `  ${JSON.stringify(name)}: ${JSON.stringify(value)}`, ',\n')}
}`)}`

const go = (url: string, call: Call) => `call, err := json.Marshal(map[string]string{
${lines(call, (name, value) => `	${JSON.stringify(name)}: ${JSON.stringify(value)},`, '\n')}
})
if err != nil {
	return err
}
req, err := http.NewRequest("POST", ${JSON.stringify(url)}, bytes.NewReader(call))
if err != nil {
	return err
}
req.Header.Set("Authorization", "Bearer "+os.Getenv("KEYTRAIL_TOKEN"))
resp, err := http.DefaultClient.Do(req)`

const typescript = (url: string, call: Call) => `const response = await fetch(${JSON.stringify(url)}, {
  method: "POST",
  headers: { Authorization: \`Bearer \${process.env.KEYTRAIL_TOKEN}\` },
  body: JSON.stringify({
${lines(call, (name, value) => `    ${name}: ${JSON.stringify(value)},`, '\n')}
  }),
});
const { allowed, httpStatus, denial } = await response.json();`

const lines = (call: Call, line: (name: string, value: string) => string, separator: string) =>
  Object.entries(call)
    .map(([name, value]) => line(name, value))
    .join(separator)

const shellQuote = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`
