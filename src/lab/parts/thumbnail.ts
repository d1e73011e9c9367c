import { mkdir, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import sharp from 'sharp';

/** Pixels of each side. */
export const THUMBNAIL_SIZE = 160;

/** Reads a photograph and writes the small square of it. The file appears whole or not at all. @throws when it is no photograph. */
export async function makeThumbnail(photo: string, file: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  const unfinished = `${file}.${process.pid}`;
  await sharp(photo)
    .autoOrient()
    .resize(THUMBNAIL_SIZE, THUMBNAIL_SIZE, { fit: 'cover', kernel: 'lanczos3' })
    .sharpen()
    .webp({ quality: 82 })
    .toFile(unfinished);
  await rename(unfinished, file);
}

/** True when the file is a thumbnail as `makeThumbnail` writes it. */
export async function isThumbnail(file: string): Promise<boolean> {
  try {
    const { format, width, height } = await sharp(file).metadata();
    return format === 'webp' && width === THUMBNAIL_SIZE && height === THUMBNAIL_SIZE;
  } catch {
    return false;
  }
}
