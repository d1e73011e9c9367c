/**
 * Pictures of the dashboard for the documents, of a broker with something to show: `node --conditions=railhead-source
 * scripts/screenshots.ts [DIRECTORY]`. Small PNG files, as the browser makes them and sharp packs them.
 */
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import sharp from 'sharp';
import { launch, open } from '../test/dashboard/browser.ts';
import { busyBroker } from '../test/dashboard/busy.ts';
import { buildDashboard, isOld } from './dashboard.ts';

const target = resolve(process.argv[2] ?? join(import.meta.dirname, '../docs/dashboard'));

const PICTURES: { name: string; at: string; dark?: boolean; phone?: boolean; opened?: true }[] = [
  { name: 'home', at: '' },
  { name: 'home-dark', at: '', dark: true },
  { name: 'home-phone', at: '', phone: true },
  { name: 'queues', at: '#/queues' },
  { name: 'queue', at: '#/queues/orders' },
  { name: 'queue-phone', at: '#/queues/orders', phone: true },
  { name: 'bodies', at: '#/queues/reports.monthly', opened: true },
  { name: 'topics', at: '#/topics' },
  { name: 'dead-letters', at: '#/dead/emails.dead' },
  { name: 'routing', at: '#/routing' },
  { name: 'journal', at: '#/journal' },
  { name: 'configuration', at: '#/configuration' },
];

mkdirSync(target, { recursive: true });
if (isOld()) await buildDashboard();
const broker = await busyBroker();
const browser = await launch();
try {
  // Somebody looks from the start, so that the charts have something behind them.
  const first = await open(browser, broker.url);
  await sleep(Number(process.env['SECONDS_OF_HISTORY'] ?? 30) * 1_000);
  for (const { name, at, dark, phone, opened } of PICTURES) {
    const size = phone === true ? { width: 390, height: 844 } : { width: 1280, height: 860 };
    const { page } = await open(browser, `${broker.url}/${at}`, { ...size, dark: dark === true });
    await page.getByText('Live', { exact: true }).waitFor();
    await sleep(2_500);
    if (opened === true) await page.locator('.message > summary').first().click();
    const picture = await page.screenshot({ type: 'png' });
    await sharp(picture)
      .png({ palette: true, colours: 128, effort: 10 })
      .toFile(join(target, `${name}.png`));
    await page.close();
  }
  await first.page.close();
} finally {
  await browser.close();
  await broker.close();
}
