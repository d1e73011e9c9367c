/**
 * `npm run lock`, after a dependency changed: a registry mirror that lacks the builds of some platforms makes npm leave
 * them out of package-lock.json, and `npm ci` then refuses the lock. This adds them by version, for the platform that
 * their name says; npm fetches them only there.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';

interface LockedPackage {
  version?: string;
  dev?: boolean;
  optional?: boolean;
  os?: string[];
  cpu?: string[];
  libc?: string[];
  optionalDependencies?: Record<string, string>;
}

const OS = ['aix', 'android', 'darwin', 'freebsd', 'linux', 'openharmony', 'win32'];
const CPU = ['arm', 'arm64', 'ia32', 'loong64', 'ppc64', 'riscv64', 's390x', 'x64'];
const LIBC = new Map([
  ['gnu', 'glibc'],
  ['gnueabihf', 'glibc'],
  ['musl', 'musl'],
  ['musleabihf', 'musl'],
]);

for (const path of ['package-lock.json', 'benches/package-lock.json']) complete(path);

function complete(path: string): void {
  const file = resolve(import.meta.dirname, '..', path);
  const lock = JSON.parse(readFileSync(file, 'utf8')) as { packages: Record<string, LockedPackage> };
  const added: string[] = [];
  for (const [owner, { optionalDependencies = {}, dev }] of Object.entries(lock.packages)) {
    for (const [name, version] of Object.entries(optionalDependencies)) {
      if (isLocked(lock.packages, owner, name)) continue;
      const words = name.split(/[/-]/);
      const os = OS.filter((word) => words.includes(word));
      const cpu = CPU.filter((word) => words.includes(word));
      if (os.length !== 1 || cpu.length !== 1 || !/^\d+\.\d+\.\d+$/.test(version)) {
        throw new Error(
          `${name}@${version} of ${owner} is not locked, and its name does not say one platform. Add it by hand.`,
        );
      }
      const libc = os[0] === 'linux' ? [...LIBC].flatMap(([word, value]) => (words.includes(word) ? [value] : [])) : [];
      lock.packages[`node_modules/${name}`] = {
        version,
        cpu,
        ...(dev === true ? { dev } : {}),
        ...(libc.length > 0 ? { libc } : {}),
        optional: true,
        os,
      };
      added.push(`${name}@${version}`);
    }
  }
  const [self, ...others] = Object.entries(lock.packages);
  others.sort(([a], [b]) => a.localeCompare(b, 'en'));
  lock.packages = Object.fromEntries(self === undefined ? others : [self, ...others]);
  if (added.length > 0) writeFileSync(path, `${JSON.stringify(lock, null, 2)}\n`);
  console.log(added.length === 0 ? `${path} is complete.` : `Added to ${path}:\n  ${added.join('\n  ')}`);
}

/** As Node resolves it: in the owner's own folder, or in one above it. */
function isLocked(packages: Record<string, LockedPackage>, owner: string, name: string): boolean {
  const folders = owner.split(/\/?node_modules\//);
  return folders.some((_, depth) => {
    const above = folders
      .slice(0, folders.length - depth)
      .join('/node_modules/')
      .replace(/^\//, '');
    return `${above === '' ? '' : `${above}/`}node_modules/${name}` in packages;
  });
}
