/**
 * `node test/golden/make.ts`: writes the golden directory of the current format, `format-N.gz`, what must be found in
 * it, `format-N.json`, and every entry that was ever written to it, `format-N.entries.gz`. A released format is never
 * written again: older ones are kept as they are, for ever.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { FORMAT_VERSION } from '../../src/engine/entries.ts';
import { MemoryDisk } from '../../src/storage/memory/memory-disk.ts';
import { History } from '../simulation/replay.ts';
import { pack, packBatches } from './archive.ts';
import { readContent, writeGolden } from './content.ts';

const fileOf = (kind: string): string => join(import.meta.dirname, `format-${FORMAT_VERSION}.${kind}`);

if (existsSync(fileOf('gz')) && !process.argv.includes('--again')) {
  console.error(`${fileOf('gz')} is there already. A format that was released stays as it is; before that, say --again.`);
  process.exit(1);
}
const disk = new MemoryDisk();
const history = new History();
await writeGolden(disk, (journal) => history.wrap(journal));
const packed = await pack(disk);
writeFileSync(fileOf('gz'), packed);
const content = await readContent(disk.clone());
writeFileSync(fileOf('json'), `${JSON.stringify(content, null, 1)}\n`);
const entries = packBatches(history.batches);
writeFileSync(fileOf('entries.gz'), entries);
console.log(`format ${FORMAT_VERSION}: ${packed.length} bytes, entries ${entries.length} bytes`);
process.exit(0);
