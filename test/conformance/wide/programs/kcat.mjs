// kcat, which is one program for each thing to do, and ends when no broker is there: then it is started again, as a script
// does. Numbers, and a group whose third member comes and goes.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

const [bootstrap] = process.argv.slice(2);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const base = ['-q', '-b', bootstrap, '-X', 'reconnect.backoff.max.ms=200', '-X', 'allow.auto.create.topics=true'];

/** It ends with this program, however that ends. */
const kcat = (...args) => spawn('setpriv', ['--pdeathsig', 'KILL', 'kcat', ...base, ...args]);

function member() {
  const group = ['-X', 'auto.offset.reset=earliest'];
  const timing = ['-X', 'session.timeout.ms=6000', '-X', 'heartbeat.interval.ms=300'];
  const child = kcat(...group, ...timing, '-u', '-G', 'readers', 'numbers');
  child.stderr.resume();
  createInterface(child.stdout).on('line', (line) => console.log(`receive ${line}`));
  return child;
}

/** Ends well when all of them were acknowledged. */
async function publish(numbers) {
  for (const n of numbers) console.log(`try ${n}`);
  const child = kcat('-X', 'enable.idempotence=true', '-P', '-t', 'numbers');
  child.stderr.resume();
  child.stdin.on('error', () => {});
  child.stdin.end(`${numbers.join('\n')}\n`);
  const [code] = await once(child, 'close');
  if (code === 0) for (const n of numbers) console.log(`confirm ${n}`);
  else await pause(100);
}

const told = { toStop: false };
process.stdin.once('data', () => (told.toStop = true));
await publish([1]);
async function always() {
  for (;;) {
    await once(member(), 'close');
    await pause(100);
  }
}
for (let i = 0; i < 2; i++) void always();
void (async () => {
  while (!told.toStop) {
    await pause(1500);
    const third = member();
    const gone = once(third, 'close');
    await pause(2500);
    // As a user ends it: it leaves its group.
    third.kill('SIGTERM');
    await gone;
  }
})();
for (let n = 2; !told.toStop; n += 10) await publish(Array.from({ length: 10 }, (_, i) => n + i));
