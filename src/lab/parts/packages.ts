/** What the lab does real work with. Users of the package do not have it, unless they install it. */
export type PackageName = 'nodemailer' | 'smtp-server' | 'sharp';

const LOADERS: Record<PackageName, () => Promise<unknown>> = {
  nodemailer: () => import('nodemailer'),
  'smtp-server': () => import('smtp-server'),
  sharp: () => import('sharp'),
};

/** Those that cannot be loaded here: not installed, or without a build for this machine. */
export async function missingOf(names: Iterable<PackageName>): Promise<PackageName[]> {
  const missing: PackageName[] = [];
  for (const name of new Set(names)) {
    try {
      await LOADERS[name]();
    } catch {
      missing.push(name);
    }
  }
  return missing;
}
