/**
 * `npm run check`: format, lint, types and dead code, all of them even when one fails, with the failing ones named at
 * the end.
 */
import { spawnSync } from 'node:child_process';

const STEPS = ['format:check', 'lint', 'types', 'knip'];

const failing = STEPS.filter((name) => {
  console.log(`\n== npm run ${name}`);
  const started = performance.now();
  const { status } = spawnSync('npm', ['run', '--silent', name], {
    stdio: 'inherit',
    shell: process.platform === 'win32',
  });
  console.log(`${status === 0 ? 'ok' : 'FAILED'} in ${((performance.now() - started) / 1000).toFixed(1)} s`);
  return status !== 0;
});
console.log(failing.length === 0 ? '\nAll checks passed.' : `\nFAILED: ${failing.join(', ')}`);
process.exitCode = failing.length === 0 ? 0 : 1;
