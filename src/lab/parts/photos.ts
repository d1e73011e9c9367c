import { join } from 'node:path';
import sharp from 'sharp';
import { SeededRandom } from '../../core/random.ts';

const WIDTH = 600;
const HEIGHT = 400;
/** The camera of the lab takes 1800 × 1200. */
const ENLARGE = 3;

interface Scene {
  seed: number;
  sky: readonly [number, number, number];
  glow: readonly [number, number, number];
  hills: readonly (readonly [number, number, number])[];
}

const SCENES: readonly Scene[] = [
  {
    seed: 11,
    sky: [52, 84, 140],
    glow: [255, 190, 120],
    hills: [
      [96, 104, 140],
      [58, 72, 96],
      [24, 34, 44],
    ],
  },
  {
    seed: 23,
    sky: [110, 170, 220],
    glow: [250, 245, 225],
    hills: [
      [120, 160, 150],
      [70, 120, 80],
      [34, 70, 40],
    ],
  },
  {
    seed: 47,
    sky: [30, 24, 60],
    glow: [230, 90, 90],
    hills: [
      [84, 50, 90],
      [50, 30, 62],
      [18, 14, 28],
    ],
  },
];

/** Photographs as a phone would upload them (JPEG, 2 megapixels), the same ones every time. Returns their files. */
export async function takePhotos(dir: string): Promise<string[]> {
  return Promise.all(
    SCENES.map(async (scene, index) => {
      const file = join(dir, `photo-${index + 1}.jpg`);
      await sharp(pixels(scene), { raw: { width: WIDTH, height: HEIGHT, channels: 3 } })
        .resize(WIDTH * ENLARGE, HEIGHT * ENLARGE, { kernel: 'cubic' })
        .jpeg({ quality: 88 })
        .toFile(file);
      return file;
    }),
  );
}

/** Hills at a lake-side evening: a sky with a low sun, three ridges, the grain of a small sensor. */
function pixels(scene: Scene): Uint8Array {
  const random = new SeededRandom(scene.seed);
  const ridges = scene.hills.map((_, layer) => ridge(random, 0.45 + layer * 0.17));
  const sun = { x: (0.25 + random.next() / 2) * WIDTH, y: 0.42 * HEIGHT };
  const image = new Uint8Array(WIDTH * HEIGHT * 3);
  for (let y = 0; y < HEIGHT; y++) {
    for (let x = 0; x < WIDTH; x++) {
      const layer = ridges.findLastIndex((heights) => y > (heights[x] ?? HEIGHT));
      const hill = scene.hills[layer];
      const light = Math.exp(-Math.hypot(x - sun.x, y - sun.y) / 90);
      const grain = (random.next() - 0.5) * 14;
      for (let channel = 0; channel < 3; channel++) {
        const sky = mix(scene.sky[channel] ?? 0, scene.glow[channel] ?? 0, Math.min(1, y / HEIGHT / 0.6 + light));
        image[(y * WIDTH + x) * 3 + channel] = clamp((hill?.[channel] ?? sky) + grain);
      }
    }
  }
  return image;
}

function ridge(random: SeededRandom, level: number): Float64Array {
  const waves = Array.from({ length: 5 }, (_, octave) => ({
    length: WIDTH / (1.3 + octave * 1.9),
    height: (HEIGHT * 0.09) / (octave + 1),
    shift: random.next() * 2 * Math.PI,
  }));
  return Float64Array.from({ length: WIDTH }, (_, x) =>
    waves.reduce(
      (y, { length, height, shift }) => y + height * Math.sin((x / length) * 2 * Math.PI + shift),
      level * HEIGHT,
    ),
  );
}

function mix(from: number, to: number, part: number): number {
  return from + (to - from) * part;
}

function clamp(value: number): number {
  return Math.max(0, Math.min(255, Math.round(value)));
}
