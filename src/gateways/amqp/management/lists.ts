import { NamePattern } from '../../../core/name-pattern.ts';
import { bad } from './errors.ts';
import type { Json } from './json.ts';
import { isJson } from './json.ts';

const MAX_PAGE_SIZE = 500;

/** What a query makes of a list: `sort`, `sort_reverse`, `page`, `page_size`, `name`, `use_regex`, `columns`. */
export function shapeList(items: readonly Json[], query: URLSearchParams): unknown {
  const sorted = sort(items, query);
  const page = query.get('page');
  if (page === null) return sorted.map((item) => columns(item, query));
  const size = whole(query.get('page_size') ?? '100', 'page_size');
  if (size > MAX_PAGE_SIZE) throw bad(`page_size is ${size}; at most ${MAX_PAGE_SIZE} are allowed`);
  const number = whole(page, 'page');
  const named = filterByName(sorted, query);
  const pages = Math.max(1, Math.ceil(named.length / size));
  if (number > pages) throw bad(`page out of range: there are ${pages}`);
  const shown = named.slice((number - 1) * size, number * size);
  return {
    total_count: items.length,
    filtered_count: named.length,
    item_count: shown.length,
    page: number,
    page_size: size,
    page_count: pages,
    items: shown.map((item) => columns(item, query)),
  };
}

function whole(text: string, name: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw bad(`${name} is ${JSON.stringify(text.slice(0, 50))}; write a number from 1`);
  return Number(text);
}

function filterByName(items: readonly Json[], query: URLSearchParams): readonly Json[] {
  const name = query.get('name');
  if (name === null || name === '') return items;
  const pattern = query.get('use_regex') === 'true' ? new NamePattern(name) : undefined;
  return items.filter((item) => {
    const own = String(item['name']);
    return pattern === undefined ? own.toLowerCase().includes(name.toLowerCase()) : pattern.matches(own);
  });
}

function sort(items: readonly Json[], query: URLSearchParams): readonly Json[] {
  const by = query.get('sort');
  if (by === null || by === '') return items;
  const direction = query.get('sort_reverse') === 'true' ? -1 : 1;
  return items.toSorted((a, b) => direction * compare(at(a, by), at(b, by)));
}

function compare(a: unknown, b: unknown): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  const [one, other] = [asText(a), asText(b)];
  return one < other ? -1 : one > other ? 1 : 0;
}

function asText(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value ?? '');
}

function at(item: Json, path: string): unknown {
  let value: unknown = item;
  for (const part of path.split('.')) value = isJson(value) ? value[part] : undefined;
  return value;
}

/** Only the named fields, `a.b` within `a`. */
export function columns(item: Json, query: URLSearchParams): Json {
  const wanted = query.get('columns');
  if (wanted === null || wanted === '') return item;
  const shown: Json = {};
  for (const path of wanted.split(',')) {
    const value = at(item, path);
    if (value === undefined) continue;
    const parts = path.split('.');
    const last = parts.pop() ?? path;
    let place = shown;
    for (const part of parts) {
      const next = Object.hasOwn(place, part) ? place[part] : undefined;
      const inner: Json = isJson(next) ? next : {};
      Object.defineProperty(place, part, { value: inner, enumerable: true, configurable: true, writable: true });
      place = inner;
    }
    Object.defineProperty(place, last, { value, enumerable: true, configurable: true, writable: true });
  }
  return shown;
}
