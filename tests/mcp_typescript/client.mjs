// An independent client: the TypeScript SDK. It is told a place, a token and which version of the SDK to use; it does
// what a program would do, and writes what came of it as one line of JSON.
import { Client as First } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as FirstTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { Client as Second, StreamableHTTPClientTransport as SecondTransport } from '@modelcontextprotocol/client'

const [place, token, era] = process.argv.slice(2)
const about = { name: 'millwright-check', version: '1.0.0' }
const way = { requestInit: { headers: { Authorization: `Bearer ${token}` } } }
const url = new URL(`http://${place}/mcp`)

const first = era === 'handshake'
const client = first ? new First(about) : new Second(about, { versionNegotiation: { mode: { pin: '2026-07-28' } } })
await client.connect(first ? new FirstTransport(url, way) : new SecondTransport(url, way))

const progress = []
const said = {}
said.tools = (await client.listTools()).tools
said.query = await client.callTool({ name: 'tasks.list', arguments: {} })
const request = { name: 'say', arguments: { word: 'from TypeScript' } }
const options = { onprogress: (one) => progress.push(one), timeout: 30000 }
said.run = first ? await client.callTool(request, undefined, options) : await client.callTool(request, options)
said.progress = progress
said.wrong = await client.callTool({ name: 'say', arguments: { word: 7 } })
try {
  await client.callTool({ name: 'nothing', arguments: {} })
} catch (error) {
  said.unknown = String(error.message)
}
said.resources = (await client.listResources()).resources
said.text = (await client.readResource({ uri: 'millwright://tasks/say' })).contents[0].text
await client.close()
process.stdout.write(JSON.stringify(said) + '\n')
