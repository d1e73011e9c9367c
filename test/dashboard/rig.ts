import type { Page } from 'playwright-core';
import type { Clock } from '../../src/core/clock.ts';
import type { RunningServer, ServerConfigInput } from '../../src/server/index.ts';
import type { open } from './browser.ts';
import type { TestContext } from 'node:test';

/** A broker with its pages. */
export interface Rig {
  server: RunningServer;
  httpUrl: string;
  /** Opens a page that must give no reason to complain. */
  visit: (url: string, options?: Parameters<typeof open>[2]) => Promise<Page>;
}

export type Start = (t: TestContext, config?: ServerConfigInput, clock?: Clock) => Promise<Rig>;

/** What somebody may have planted. */
export const HOSTILE = [
  '<img src=x onerror=alert(1)>',
  '"><script>alert(2)</script>',
  'javascript:alert(3)//',
  '${alert(4)}{{alert(5)}}',
  '../../etc/passwd?#%2e%2e',
  '__proto__',
  '\u202eevil',
];

export interface Violation {
  id: string;
  impact: string;
  help: string;
  nodes: { html: string }[];
}

/** What axe finds; its source has to be in the page. */
export async function axe(page: Page, rules?: string[]): Promise<Violation[]> {
  const options = { resultTypes: ['violations'], ...(rules !== undefined && { runOnly: rules }) };
  const results = await page.evaluate<{ violations: Violation[] }>(`axe.run(document, ${JSON.stringify(options)})`);
  return results.violations.map(({ id, impact, help, nodes }) => ({
    id,
    impact,
    help,
    nodes: nodes.slice(0, 3).map(({ html }) => ({ html: html.slice(0, 200) })),
  }));
}

export async function api<Answer>(
  url: string,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await fetch(`${url}/api/v1${path}`, {
    method,
    headers: { 'content-type': 'application/json', ...headers },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  if (!response.ok) throw new Error(await response.text());
  return (await response.json()) as Answer;
}
