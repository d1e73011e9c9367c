/**
 * `npm run soak -- NAME [flags]`: the long proofs, too long for `npm test`. Each is one file beside this one and takes
 * its own flags; without NAME they are listed with the first line of their comment.
 */
import { spawn } from 'node:child_process';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';

const [name, ...flags] = process.argv.slice(2);
const soaks = globSync('*.ts', { cwd: import.meta.dirname })
  .map((file) => basename(file, '.ts'))
  .filter((soak) => soak !== 'main')
  .sort();

if (name === undefined || !soaks.includes(name) || !existsSync(fileOf(name))) {
  if (name !== undefined) console.error(`There is no soak named ${JSON.stringify(name)}.`);
  console.error('Usage: npm run soak -- NAME [flags]\n');
  for (const soak of soaks) console.error(`  ${soak.padEnd(16)} ${firstLine(soak)}`);
  if (soaks.length === 0) console.error('  (none yet)');
  process.exitCode = name === undefined ? 0 : 1;
} else {
  const started = performance.now();
  const child = spawn(process.execPath, ['--conditions=railhead-source', fileOf(name), ...flags], { stdio: 'inherit' });
  child.on('error', (error) => {
    console.error(error.message);
    process.exitCode = 1;
  });
  child.on('exit', (code, signal) => {
    const seconds = ((performance.now() - started) / 1000).toFixed(0);
    console.log(`\nsoak ${name}: ${code === 0 ? 'passed' : `FAILED (${signal ?? `code ${code}`})`} after ${seconds} s`);
    process.exitCode = code === 0 ? 0 : 1;
  });
}

function fileOf(soak: string): string {
  return join(import.meta.dirname, `${soak}.ts`);
}

function firstLine(soak: string): string {
  return /\/\*\*\s*(?:\n \* )?(.+?)(?:\s*\*\/)?\n/.exec(readFileSync(fileOf(soak), 'utf8'))?.[1] ?? '';
}
