/**
 * `node test/golden/make.ts`: writes the golden directory of the current format, `format-N.gz`, and what must be found
 * in it, `format-N.json`. A released format is never written again: older ones are kept as they are, for ever.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { FORMAT_VERSION } from '../../src/engine/entries.ts';
import { MemoryDisk } from '../../src/storage/memory/memory-disk.ts';
import { pack } from './archive.ts';
import { readContent, writeGolden } from './content.ts';

const archive = join(import.meta.dirname, `format-${FORMAT_VERSION}.gz`);
if (existsSync(archive) && !process.argv.includes('--again')) {
  console.error(`${archive} is there already. A format that was released stays as it is; before that, say --again.`);
  process.exit(1);
}
const disk = new MemoryDisk();
await writeGolden(disk);
const packed = await pack(disk);
writeFileSync(archive, packed);
const content = await readContent(disk.clone());
writeFileSync(join(import.meta.dirname, `format-${FORMAT_VERSION}.json`), `${JSON.stringify(content, null, 1)}\n`);
console.log(`format ${FORMAT_VERSION}: ${packed.length} bytes`);
process.exit(0);
