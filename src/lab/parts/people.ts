import type { Signup } from '../pipeline.ts';

const NAMES = ['Ada', 'Ben', 'Cleo', 'Dana', 'Emil', 'Fatou', 'Grace', 'Hugo', 'Ines', 'Jan', 'Kofi', 'Lena'] as const;
const PLANS = ['free', 'free', 'free', 'pro', 'free', 'team', 'free', 'pro'] as const;

/** The same people every time; the photographs take turns. */
export function people(count: number, photos: readonly string[] = [], from = 1): Signup[] {
  return Array.from({ length: count }, (_, index) => {
    const number = from + index;
    const name = NAMES[number % NAMES.length] ?? 'Ada';
    return {
      id: `signup-${number}`,
      name,
      email: `${name.toLowerCase()}.${number}@example.com`,
      plan: PLANS[number % PLANS.length] ?? 'free',
      photo: photos[number % photos.length] ?? '',
    };
  });
}
