import { signal } from '@preact/signals';
import { parsePlace, type Place } from '../model/place.ts';

export const place = signal<Place>(parsePlace(location.hash));
window.addEventListener('hashchange', () => (place.value = parsePlace(location.hash)));
