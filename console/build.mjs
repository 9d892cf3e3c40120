// Bundles src/ into the folder that the first argument names: index.html and assets/, whose names have digests of their
// contents. It fails if the first load of Request Logs exceeds its budget.
import { build } from 'esbuild'
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { gzipSync } from 'node:zlib'

const budget = 80_000 // bytes of gzip: everything that Request Logs loads before the user does anything
const firstModules = ['src/main.tsx', 'src/logs/plot.ts'] // the entry, and what it imports at once

const dist = process.argv[2]
await rm(dist, { recursive: true, force: true })
await mkdir(join(dist, 'assets'), { recursive: true })

const { metafile } = await build({
  entryPoints: ['src/main.tsx', 'src/styles/main.css'],
  outdir: join(dist, 'assets'),
  entryNames: '[name]-[hash]',
  chunkNames: '[name]-[hash]',
  bundle: true,
  splitting: true,
  format: 'esm',
  target: ['chrome123', 'firefox120', 'safari17.5'], // those that know light-dark()
  minify: true,
  legalComments: 'none', // licenses.txt has them
  jsx: 'automatic',
  jsxImportSource: 'preact',
  define: { 'process.env.NODE_ENV': '"production"' },
  metafile: true,
  logLevel: 'warning',
})

const outputs = Object.entries(metafile.outputs).map(([path, output]) => ({ path, ...output }))
const byEntry = (entry) => outputs.find((o) => o.entryPoint === entry)
// esbuild also makes one style sheet of those of all pages that are loaded later.
await rm(byEntry('src/main.tsx').cssBundle)
const firstLoad = new Set([byEntry('src/styles/main.css').path])
const visit = (path) => {
  if (firstLoad.has(path)) return
  firstLoad.add(path)
  for (const i of metafile.outputs[path].imports) if (i.kind === 'import-statement') visit(i.path)
}
for (const module of firstModules) {
  const output = byEntry(module)
  if (output) visit(output.path)
}

const url = (path) => `/console/assets/${basename(path)}`
const scripts = [...firstLoad].filter((path) => path.endsWith('.js'))
const main = byEntry('src/main.tsx').path
const page = (await readFile('src/index.html', 'utf8')).replace(
  '<!-- assets -->',
  [
    `<link rel="stylesheet" href="${url(byEntry('src/styles/main.css').path)}">`,
    `<script type="module" src="${url(main)}"></script>`,
    `<meta name="keys-stylesheet" content="${url(byEntry('src/keys/KeysPage.tsx').cssBundle)}">`,
    ...scripts
      .filter((path) => path !== main)
      .sort()
      .map((path) => `<link rel="modulepreload" href="${url(path)}">`),
  ].join('\n'),
)
await writeFile(join(dist, 'index.html'), page)
await writeFile(join(dist, 'licenses.txt'), await licenses())

let size = gzipSync(page).length
for (const path of firstLoad) size += gzipSync(await readFile(path)).length
console.log(`first load: ${(size / 1000).toFixed(1)} kB of ${budget / 1000} kB (gzip)`)
if (size > budget) process.exit(1)

// licenses returns the licences of all packages that are in the bundle.
async function licenses() {
  const packages = new Set()
  for (const input of Object.keys(metafile.inputs)) {
    const match = /^(?:.*\/)?node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input)
    if (match) packages.add(input.slice(0, match[0].length))
  }
  const texts = []
  for (const folder of [...packages].sort()) {
    const { name, version, license } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'))
    const file = (await readdir(folder)).find((f) => /^licen[cs]e/i.test(f))
    const text = file ? (await readFile(join(folder, file), 'utf8')).trim() : ''
    texts.push(`${name} ${version} (${license})\n\n${text}\n`)
  }
  return texts.join('\n----\n\n')
}
