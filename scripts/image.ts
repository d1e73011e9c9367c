/**
 * The steps of deploy/docker/Dockerfile without a container engine: `node scripts/image.ts [--keep]`, as root, on Debian
 * with debootstrap. Each instruction is done as it stands there, in a root of its own; then the image runs as its last
 * lines say: nobody's user, no capability, nothing but its volume to write to. Takes some minutes the first time, and
 * nothing of it is left; with `--keep` the root of Debian stays for the next time.
 *
 * What it cannot show: the image of Node that the Dockerfile begins from. In its place is Debian with the Node of this
 * checkout and the npm of this machine.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const checkout = resolve(import.meta.dirname, '..');
const SUITE = 'bookworm';
const MIRROR = process.env['DEBIAN_MIRROR'] ?? 'http://deb.debian.org/debian';
const STEP_MS = 300_000;
const base = join(tmpdir(), `railhead-image-${SUITE}`);

/** What the instructions so far have made of a stage. */
interface Stage {
  root: string;
  env: Record<string, string>;
  args: Record<string, string>;
  directory: string;
  user: string;
  volumes: string[];
  entrypoint: string[];
  command: string[];
  health: string[];
  stopSignal: NodeJS.Signals;
}

interface Instruction {
  name: string;
  rest: string;
}

function instructions(file: string): Instruction[] {
  return readFileSync(file, 'utf8')
    .replaceAll(/^#.*\n/gm, '')
    .replaceAll(/\\\n\s*/g, ' ')
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => ({ name: line.split(' ', 1)[0] ?? '', rest: line.slice(line.indexOf(' ') + 1).trim() }));
}

function run(command: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env): string {
  const done = spawnSync(command, args, { encoding: 'utf8', timeout: STEP_MS, env });
  if (done.status !== 0) throw new Error(`${command} ${args.join(' ')} failed: ${done.stderr || String(done.error)}`);
  return done.stdout;
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Debian, with Node and npm, as `node:24-slim` is. */
function makeBase(): void {
  if (existsSync(join(base, 'usr/local/bin/npm'))) return;
  if (!existsSync(join(base, 'etc/debian_version'))) {
    say(`debootstrap ${SUITE} from ${MIRROR}`);
    run('debootstrap', ['--variant=minbase', SUITE, base, MIRROR]);
  }
  cpSync(join(checkout, 'node_modules/node/bin/node'), join(base, 'usr/local/bin/node'));
  const npm = realpathSync(run('sh', ['-c', 'command -v npm']).trim());
  cpSync(resolve(npm, '../..'), join(base, 'usr/local/lib/node_modules/npm'), { recursive: true });
  symlinkSync('../lib/node_modules/npm/bin/npm-cli.js', join(base, 'usr/local/bin/npm'));
}

/** The network of this machine is that of a build: its names, and whom it trusts. */
function lendNetwork(root: string): Record<string, string> {
  for (const file of ['/etc/resolv.conf', '/etc/hosts'])
    if (existsSync(file)) cpSync(file, join(root, file), { dereference: true });
  const lent = Object.entries(process.env).filter(([name]) => /^(https?|no)_proxy$/i.test(name));
  const extra = process.env['NODE_EXTRA_CA_CERTS'];
  if (extra !== undefined && existsSync(extra)) {
    cpSync(extra, join(root, 'tmp/ca.pem'), { dereference: true });
    lent.push(['NODE_EXTRA_CA_CERTS', '/tmp/ca.pem']);
  }
  return Object.fromEntries(lent) as Record<string, string>;
}

/** Variables of the Dockerfile, as far as it uses them. */
function filled(text: string, { env, args }: Stage): string {
  return text.replaceAll(/\$\{?(\w+)\}?/g, (_all, name: string) => env[name] ?? args[name] ?? '');
}

class Build {
  readonly #stages = new Map<string, Stage>();
  readonly #work: string;
  readonly #tarball: string;

  /** @param tarball of the package, in the place of the one of the registry */
  constructor(work: string, tarball: string) {
    this.#work = work;
    this.#tarball = tarball;
  }

  /** @returns the last stage */
  do(all: readonly Instruction[]): Stage {
    let stage: Stage | undefined;
    for (const { name, rest } of all) {
      say(`${name} ${rest}`);
      if (name === 'FROM') stage = this.#from(rest);
      else if (stage === undefined) throw new Error('The Dockerfile does not begin with FROM.');
      else this.#instruction(stage, name, rest);
    }
    if (stage === undefined) throw new Error('The Dockerfile says nothing.');
    return stage;
  }

  #from(rest: string): Stage {
    const [, name = `stage-${this.#stages.size}`] = / AS (\w+)$/.exec(rest) ?? [];
    const root = join(this.#work, name);
    run('cp', ['-a', base, root]);
    const env = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' };
    const stage: Stage = {
      root,
      env,
      args: {},
      directory: '/',
      user: '0:0',
      volumes: [],
      entrypoint: [],
      command: [],
      health: [],
      stopSignal: 'SIGTERM',
    };
    this.#stages.set(name, stage);
    return stage;
  }

  #instruction(stage: Stage, name: string, rest: string): void {
    const list = (): string[] => JSON.parse(rest.slice(rest.indexOf('['))) as string[];
    switch (name) {
      case 'ARG': {
        const [key = '', value = ''] = rest.split('=');
        stage.args[key] = key === 'VERSION' ? 'file:/tmp/railhead.tgz' : value;
        return;
      }
      case 'WORKDIR':
        stage.directory = rest;
        mkdirSync(join(stage.root, rest), { recursive: true });
        return;
      case 'RUN':
        this.#run(stage, rest);
        return;
      case 'COPY': {
        const [, from = '', source = '', target = ''] = /^--from=(\w+) (\S+) (\S+)$/.exec(rest) ?? [];
        const other = this.#stages.get(from);
        if (other === undefined) throw new Error(`COPY ${rest}: there is no such stage.`);
        run('cp', ['-a', join(other.root, source), join(stage.root, target)]);
        return;
      }
      case 'ENV':
        for (const [, key = '', value = ''] of rest.matchAll(/(\w+)=(\S+)/g)) stage.env[key] = filled(value, stage);
        return;
      case 'USER':
        stage.user = rest;
        return;
      case 'VOLUME':
        stage.volumes.push(rest);
        return;
      case 'STOPSIGNAL':
        stage.stopSignal = rest as NodeJS.Signals;
        return;
      case 'HEALTHCHECK':
        stage.health = list();
        return;
      case 'ENTRYPOINT':
        stage.entrypoint = list();
        return;
      case 'CMD':
        stage.command = list();
        return;
      case 'EXPOSE':
        return;
      default:
        throw new Error(`This script does not know ${name}.`);
    }
  }

  #run({ root, env, args, directory }: Stage, shell: string): void {
    const network = lendNetwork(root);
    cpSync(this.#tarball, join(root, 'tmp/railhead.tgz'));
    const all = { ...env, ...args, ...network, HOME: '/root' };
    const inside = `cd ${directory} && ${shell}`;
    run('chroot', [root, '/bin/sh', '-ec', inside], all);
    for (const lent of ['ca.pem', 'railhead.tgz']) rmSync(join(root, 'tmp', lent), { force: true });
  }
}

/**
 * A root that cannot be written to, the volume and nothing else on top, no user's rights and no capability: what
 * `docker run --read-only --cap-drop ALL --security-opt no-new-privileges` gives.
 */
class Container {
  readonly #stage: Stage;
  readonly #data: string;
  readonly #more: Record<string, string>;

  constructor(stage: Stage, data: string, more: Record<string, string>) {
    this.#stage = stage;
    this.#data = data;
    this.#more = more;
  }

  start(command: readonly string[]): ChildProcess {
    const { root, user, env, volumes } = this.#stage;
    const [uid = '', gid = ''] = user.split(':');
    const mounts = [
      `mount --bind ${root} ${root}`,
      ...volumes.map((volume) => `mount --bind ${this.#data} ${root}${volume}`),
      `mount -o remount,ro,bind ${root}`,
      `mount -t proc proc ${root}/proc`,
    ].join(' && ');
    const drop = `setpriv --reuid ${uid} --regid ${gid} --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all`;
    const script = `${mounts} && exec chroot ${root} ${drop} -- "$@"`;
    return spawn('unshare', ['--mount', 'sh', '-ec', script, 'sh', ...command], {
      env: { ...env, ...this.#more },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }

  async run(command: readonly string[]): Promise<{ code: number | null; out: string }> {
    const child = this.start(command);
    const timer = setTimeout(() => child.kill('SIGKILL'), 60_000);
    let out = '';
    child.stdout?.on('data', (text: Buffer) => (out += text.toString()));
    child.stderr?.on('data', (text: Buffer) => (out += text.toString()));
    const [code] = (await once(child, 'close')) as [number | null];
    clearTimeout(timer);
    return { code, out };
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

function check(what: string, holds: boolean, more = ''): void {
  say(`${holds ? 'ok  ' : 'FAIL'} ${what}${holds || more === '' ? '' : `: ${more}`}`);
  if (!holds) process.exitCode = 1;
}

async function tryOut(stage: Stage, data: string): Promise<void> {
  const port = await freePort();
  const off = { RAILHEAD_AMQP: 'false', RAILHEAD_AWS: 'false', RAILHEAD_KAFKA: 'false' };
  const token = 'a-token-that-nobody-guesses';
  const container = new Container(stage, data, { RAILHEAD_PORT: String(port), RAILHEAD_TOKEN: token, ...off });
  const client = { RAILHEAD_URL: `railhead://127.0.0.1:${port}`, RAILHEAD_TOKEN: token };
  const inside = new Container(stage, data, client);

  const refused = await new Container(stage, data, { RAILHEAD_PORT: String(port) }).run([
    ...stage.entrypoint,
    ...stage.command,
  ]);
  check('without a login it does not start', refused.code !== 0 && /token|login|user/i.test(refused.out), refused.out);
  const who = await inside.run(['id', '-u']);
  check('it runs as nobody in particular', who.out.trim() === stage.user.split(':')[0], who.out);
  const written = await inside.run(['sh', '-c', 'touch /app/x || touch /x || touch /tmp/x']);
  check('nothing but the volume can be written to', written.code !== 0 && /Read-only/.test(written.out), written.out);
  const rights = await inside.run(['sh', '-c', 'grep -E "^Cap(Eff|Prm|Bnd)" /proc/self/status']);
  check('it has no capability', /^(Cap\w+:\s*0+\s*)+$/.test(rights.out), rights.out);

  for (const life of ['the first', 'the second']) {
    const broker = container.start([...stage.entrypoint, ...stage.command]);
    let log = '';
    broker.stderr?.on('data', (text: Buffer) => (log += text.toString()));
    broker.stdout?.on('data', (text: Buffer) => (log += text.toString()));
    const ended = once(broker, 'exit') as Promise<[number | null, string | null]>;
    let healthy: { code: number | null; out: string } = { code: 1, out: '' };
    for (let tries = 0; tries < 60 && healthy.code !== 0; tries++) {
      await sleep(500);
      healthy = await inside.run(stage.health);
    }
    check(`${life} start: its health check says so`, healthy.code === 0, `${healthy.out}${log}`);
    if (life === 'the first') {
      const sent = await inside.run([...stage.entrypoint, 'declare', 'orders']);
      check('a queue is made', sent.code === 0, sent.out);
      await inside.run([...stage.entrypoint, 'send', 'orders', '{"order":1}']);
    } else {
      const found = await inside.run([...stage.entrypoint, 'peek', 'orders', '--json']);
      check('what was sent before is there', found.out.includes('"order":1'), found.out);
    }
    const began = performance.now();
    broker.kill(stage.stopSignal);
    const [code, signal] = await ended;
    const took = `${((performance.now() - began) / 1000).toFixed(1)} s`;
    check(`${stage.stopSignal} ends it with 0 (${took})`, code === 0, `${code ?? signal ?? ''}\n${log}`);
  }
}

if (process.getuid?.() !== 0)
  throw new Error('This makes roots and mounts: run it as root, or in a machine of its own.');
const work = mkdtempSync(join(tmpdir(), 'railhead-image-'));
try {
  makeBase();
  say('npm pack');
  run(process.execPath, [join(checkout, 'scripts/build.ts')]);
  const packed = run('npm', ['pack', '--ignore-scripts', '--pack-destination', work, checkout]).trim();
  const build = new Build(work, join(work, packed.split('\n').at(-1) ?? ''));
  const image = build.do(instructions(join(checkout, 'deploy/docker/Dockerfile')));
  const data = join(work, 'volume');
  // As an engine does with a new volume: it gets what lies there in the image, and whose it is.
  run('cp', ['-a', join(image.root, image.volumes[0] ?? ''), data]);
  await tryOut(image, data);
  const size = run('du', ['-sm', join(image.root, 'app')]).split('\t')[0];
  say(`The image adds ${size} MB to that of Node.`);
} finally {
  rmSync(work, { recursive: true, force: true });
  if (!process.argv.includes('--keep')) rmSync(base, { recursive: true, force: true });
}
