import type { ServerFacts } from '../gateways/http/server-facts.ts';
import type { Listener } from '../gateways/listener.ts';
import { allSettings, type ServerConfig } from './settings.ts';

/** A setting in force, for people. */
interface ShownSetting {
  path: string;
  /** As it counts, in one line; of a secret only whether there is one. */
  value: string;
  /** `default`, `set`, the name of a file, of an environment variable, of a flag. */
  from: string;
  summary: string;
}

/** What the HTTP API tells of the server itself. */
export function factsOf(
  config: ServerConfig,
  origins: ReadonlyMap<string, string> | undefined,
  listeners: ReadonlyMap<string, Listener>,
  namespaces: () => Iterable<string>,
): Omit<ServerFacts, 'alerts' | 'doctor' | 'segments' | 'documents'> {
  return {
    namespaces,
    settings: () => shownSettings(config, origins ?? new Map()),
    connections: () =>
      [...listeners].flatMap(([protocol, listener]) => listener.list().map((each) => ({ protocol, ...each }))),
  };
}

/** The configuration in force with where each value comes from. Never a secret. */
function shownSettings(config: ServerConfig, origins: ReadonlyMap<string, string>): ShownSetting[] {
  return allSettings().map(({ path, default: usual, doc }) => {
    const value = valueAt(config, path);
    const isSet = JSON.stringify(value) !== JSON.stringify(usual);
    return {
      path,
      value: doc.secret === true ? secret(value) : doc.fileOnly === true ? many(value) : text(value, doc.fallback),
      from: origins.get(path) ?? (isSet ? 'set' : 'default'),
      summary: doc.summary,
    };
  });
}

function valueAt(config: object, path: string): unknown {
  return path.split('.').reduce<unknown>((at, name) => {
    if (typeof at !== 'object' || at === null) return undefined;
    const entries: [string, unknown][] = Object.entries(at);
    return entries.find(([key]) => key === name)?.[1];
  }, config);
}

function secret(value: unknown): string {
  return value === undefined ? 'not set' : 'set, and not shown';
}

function many(value: unknown): string {
  return Array.isArray(value) ? `${value.length}, not shown` : secret(value);
}

function text(value: unknown, fallback: string | undefined): string {
  if (value === undefined) return fallback ?? 'not set';
  if (Array.isArray(value)) return value.length === 0 ? 'none' : value.join(', ');
  return typeof value === 'string' ? value : JSON.stringify(value);
}
