import { readdir, readFile } from 'node:fs/promises';

/** How many this process has and may have; undefined where the system does not say so (anything but Linux). */
export async function fileDescriptors(): Promise<{ open: number; most: number } | undefined> {
  try {
    const [open, limits] = await Promise.all([readdir('/proc/self/fd'), readFile('/proc/self/limits', 'utf8')]);
    const most = Number(/^Max open files +(\d+)/m.exec(limits)?.[1] ?? Infinity);
    return { open: open.length, most };
  } catch {
    return undefined;
  }
}
