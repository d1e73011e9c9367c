import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import axeCore from 'axe-core';
import { LOCAL_PRINCIPAL } from '../../src/core/auth.ts';
import { ManualClock } from '../../src/core/clock.ts';
import { Rail } from '../../src/sdk/rail.ts';
import { api, axe, HOSTILE, type Start } from './rig.ts';

const LOOKS = [
  { look: {}, rules: undefined },
  { look: { dark: true }, rules: ['color-contrast'] },
  { look: { width: 390, height: 844 }, rules: ['color-contrast', 'target-size', 'scrollable-region-focusable'] },
];

interface Told {
  active: { state: string }[];
  ended: unknown[];
}

/** Part of the tests of the dashboard: its page of alerts. */
export function alertTests(start: Start): void {
  test('alerts are shown with since when and what to do, then as over; hostile names are text, in any look', async (t) => {
    const clock = new ManualClock();
    const [queue = '', rule = ''] = HOSTILE;
    const alerts = [
      { name: rule, when: 'depth', above: 1, for: 0 },
      { name: 'later', when: 'noConsumers', for: '1h' },
      { name: 'full', when: 'disk', above: 99.9, webhook: 'https://hooks.example.com/secret-path' },
    ] as const;
    const { httpUrl, visit } = await start(t, { alerts: [...alerts] }, clock);
    for (const name of ['orders', queue]) {
      await api(httpUrl, 'PUT', `/queues/${encodeURIComponent(name)}`, {});
      for (let i = 0; i < 2; i++)
        await api(httpUrl, 'POST', `/queues/${encodeURIComponent(name)}/messages`, { body: i });
    }
    const looked = async (isSo: (told: Told) => boolean): Promise<void> => {
      clock.advance(10_000);
      while (!isSo(await api<Told>(httpUrl, 'GET', '/alerts'))) await sleep(20);
    };
    await looked(({ active }) => active.length === 4);

    const page = await visit(httpUrl);
    await page.getByRole('heading', { name: '2 alerts are on' }).waitFor();
    await page.getByRole('link', { name: '2 alerts are on' }).click();
    const on = page.getByRole('region', { name: 'On now' });
    await on.getByRole('link', { name: 'orders', exact: true }).waitFor();
    await on.getByRole('link', { name: queue, exact: true }).waitFor();
    await on.getByText(`${rule}: messages that are not settled: 2, above 1. Since `).first().waitFor();
    await on.getByText('More consumers, or faster ones').first().waitFor();
    const pending = page.getByRole('region', { name: 'Not yet for as long as the rule says' });
    await pending.getByText('Start its worker, or purge it if nobody needs them.').first().waitFor();
    const rules = page.getByRole('region', { name: 'All rules' });
    await rules.getByText('share of the file system of `dir` in use, above 99.9 %').waitFor();
    await rules.getByText('https://hooks.example.com/…').waitFor();
    await rules.getByText('the log').first().waitFor();
    assert.equal(await page.locator('main img, main script, main [onerror]').count(), 0);
    assert.doesNotMatch((await page.locator('main').textContent()) ?? '', /secret-path/);

    await api(httpUrl, 'POST', '/queues/orders/purge');
    await looked(({ ended }) => ended.length === 1);
    const over = page.getByRole('region', { name: 'Alerts that are over' });
    await over.getByRole('row', { name: /orders.*2, above 1.*10 s/ }).waitFor();

    for (const { look, rules: asked } of LOOKS) {
      const other = await visit(`${httpUrl}/#/alerts`, look);
      await other.getByRole('region', { name: 'On now' }).waitFor();
      await other.evaluate(axeCore.source);
      assert.deepEqual(await axe(other, asked), [], JSON.stringify(look));
      const overflow = await other.evaluate('document.documentElement.scrollWidth - innerWidth');
      assert.ok(Number(overflow) <= 0, `${String(overflow)} px wider than the screen ${JSON.stringify(look)}`);
    }
  });

  test('who has rights in one namespace alone is shown alerts of that one, asks for nothing else and is offered nothing else', async (t) => {
    const clock = new ManualClock();
    const token = 'the-token-of-a-shopkeeper-of-today';
    const tokenHash = `sha256:${createHash('sha256').update(token).digest('hex')}`;
    const { server, httpUrl, visit } = await start(
      t,
      {
        alerts: [{ name: 'deep', when: 'depth', above: 0, for: 0 }],
        users: [{ name: 'shopkeeper', tokenHash, grants: [{ namespace: 'default', resource: '*', actions: 'all' }] }],
      },
      clock,
    );
    for (const [namespace, queue] of [
      ['default', 'stock'],
      ['elsewhere', 'secrets'],
    ] as const) {
      const session = server.broker.connect({ principal: LOCAL_PRINCIPAL, namespace });
      await session.request('declareTopic', { name: queue, kind: 'queue' });
      await new Rail({ session, clock }).queue(queue).send(1);
    }
    const page = await visit(`${httpUrl}/openapi.json`);
    await page.request.post(`${httpUrl}/api/v1/login`, { data: { token } });
    const asked: string[] = [];
    page.on('response', (response) => asked.push(`${new URL(response.url()).pathname} ${response.status()}`));
    await page.goto(httpUrl);
    await page.getByText('Live', { exact: true }).waitFor();
    clock.advance(10_000);
    await page.getByRole('link', { name: 'An alert is on' }).click();
    await page.getByRole('region', { name: 'On now' }).getByRole('link', { name: 'stock' }).waitFor();
    await page.getByText('The rules are for admins of all namespaces.').waitFor();
    assert.equal(await page.getByText('secrets').count(), 0);
    const pages = await page.getByRole('navigation', { name: 'Pages' }).getByRole('link').allTextContents();
    for (const title of ['Users', 'Connections', 'Configuration']) assert.ok(!pages.includes(title), title);
    assert.ok(pages.includes('Journal'));
    assert.deepEqual(
      asked.filter((line) => !/ [23]\d\d$/.test(line)),
      [],
    );
    assert.ok(asked.includes('/api/v1/alerts 200'));
  });

  test('without rules the page of alerts says how to have some', async (t) => {
    const { httpUrl, visit } = await start(t);
    const page = await visit(`${httpUrl}/#/alerts`);
    await page.getByText('No rules').waitFor();
    await page.getByText('Nothing is on').waitFor();
  });
}
