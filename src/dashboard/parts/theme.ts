import { signal } from '@preact/signals';
import { store, stored } from '../api.ts';

export type Theme = 'system' | 'light' | 'dark';

const dark = matchMedia('(prefers-color-scheme: dark)');

export const chosen = signal<Theme>(themeOf(stored('theme')));
/** What is shown: charts are drawn anew when it changes. */
export const theme = signal<'light' | 'dark'>('light');

function themeOf(text: string | undefined): Theme {
  return text === 'light' || text === 'dark' ? text : 'system';
}

function apply(): void {
  const shown = chosen.value === 'system' ? (dark.matches ? 'dark' : 'light') : chosen.value;
  document.documentElement.dataset['theme'] = shown;
  theme.value = shown;
}

export function choose(wanted: Theme): void {
  chosen.value = wanted;
  store('theme', wanted);
  apply();
}

export function startTheme(): void {
  dark.addEventListener('change', apply);
  apply();
}
