import assert from 'node:assert/strict';
import { test } from 'node:test';
import axeCore from 'axe-core';
import type { Browser, Locator, Page } from 'playwright-core';
import { open } from './browser.ts';
import { api, axe, HOSTILE, type Start } from './rig.ts';

const TOKEN = 'a-token-that-nobody-guesses';
/** More than any dialog has fields. */
const MANY_TABS = 30;

/** A tag, an attribute's end and another tag, what turns the direction of text. */
const NAMES = [HOSTILE[0] ?? '', HOSTILE[1] ?? '', HOSTILE[6] ?? ''];

const FOCUS = 'document.activeElement === document.body || document.activeElement.closest("dialog") !== null';

/** The parts of a name that an expression would take for something else. */
function literally(text: string): RegExp {
  return new RegExp(text.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
}

/** Goes there as somebody without a mouse does, and may not get out of the dialog on the way. */
async function tabTo(page: Page, target: Locator): Promise<void> {
  for (let tabs = 0; tabs < MANY_TABS; tabs++) {
    if (await target.evaluate((element) => element === element.ownerDocument.activeElement)) return;
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(FOCUS), true, 'the focus left the dialog');
  }
  assert.fail(`no way by Tab to ${String(target)}`);
}

interface Opened {
  dialog: Locator;
  /** Types into a field, or presses Enter on a button. */
  type: (target: Locator, text: string) => Promise<void>;
  press: (target: Locator, key?: string) => Promise<void>;
}

/**
 * Opens by Enter, finds nothing wrong with what is there, closes by Escape, which leads back to where it was opened; then
 * opens it again for what is to be done with it.
 */
async function opened(
  page: Page,
  opener: Locator,
  title: string | RegExp,
  check: 'with axe' | 'quickly' = 'quickly',
): Promise<Opened> {
  const dialog = page.getByRole('dialog', { name: title });
  await opener.focus();
  await page.keyboard.press('Enter');
  await dialog.waitFor();
  if (check === 'with axe') assert.deepEqual(await axe(page), [], String(title));
  assert.equal(await page.locator('dialog img, dialog script, dialog [onerror]').count(), 0, String(title));
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
  assert.equal(
    await opener.evaluate((element) => element === element.ownerDocument.activeElement),
    true,
    String(title),
  );
  if (check === 'with axe') {
    // The first button leaves everything as it is.
    await page.keyboard.press('Enter');
    await dialog.waitFor();
    await tabTo(page, dialog.locator('.buttons button').first());
    await page.keyboard.press('Enter');
    await dialog.waitFor({ state: 'detached' });
    assert.equal(
      await opener.evaluate((element) => element === element.ownerDocument.activeElement),
      true,
      String(title),
    );
  }
  await page.keyboard.press('Enter');
  await dialog.waitFor();
  return {
    dialog,
    type: async (target, text) => {
      await tabTo(page, target);
      await page.keyboard.press('ControlOrMeta+a');
      await page.keyboard.insertText(text);
    },
    press: async (target, key = 'Enter') => {
      await tabTo(page, target);
      await page.keyboard.press(key);
    },
  };
}

/** Part of the tests of the dashboard: every dialog, by keyboard alone, about what has a hostile name. */
export function dialogTests(start: Start, browser: () => Browser, asked: string[]): void {
  test('the dialogs of queues and dead letters do by keyboard what they do, whatever the names are', async (t) => {
    const { httpUrl, visit } = await start(t);
    for (const [index, hostile] of NAMES.entries()) {
      const check = index === 0 ? 'with axe' : 'quickly';
      const name = `q ${hostile}`;
      const path = encodeURIComponent(name);
      await api(httpUrl, 'PUT', `/queues/${path}`, { maxAttempts: 1, backoff: { type: 'none' } });
      const page = await visit(`${httpUrl}/#/queues/${path}`);
      await page.getByText('Nobody consumes now.').waitFor();
      await page.evaluate(axeCore.source);
      const publish = await opened(page, page.getByRole('button', { name: 'Publish…' }), `Publish to ${name}`, check);
      await publish.type(publish.dialog.locator('textarea[name=body]'), JSON.stringify({ hostile }));
      await publish.type(publish.dialog.locator('input[name=key]'), hostile);
      await page.keyboard.press('Enter');
      await page.getByText(`Published to ${name}.`).waitFor();

      const purge = await opened(page, page.getByRole('button', { name: 'Purge…' }), `Purge ${name}?`, check);
      await purge.press(purge.dialog.getByRole('button', { name: 'Purge 1 message' }));
      await page.getByText(`1 message of ${name} purged.`).waitFor();
      for (let i = 0; i < 3; i++) {
        await api(httpUrl, 'POST', `/queues/${path}/messages`, { body: hostile, key: hostile });
        const { messages } = await api<{ messages: { delivery: string }[] }>(
          httpUrl,
          'POST',
          `/queues/${path}/receive`,
        );
        const deliveries = messages.map(({ delivery }) => delivery);
        await api(httpUrl, 'POST', '/settle', { deliveries, action: 'reject', reason: hostile });
      }
      await page.goto(`${httpUrl}/#/dead/${encodeURIComponent(`${name}.dead`)}`);
      const group = page.locator('.group').first();
      await group.getByRole('button', { name: 'Show' }).click();
      await group.locator('.message summary').first().click();
      const editOne = group.getByRole('button', { name: 'Edit and redrive…' }).first();
      await editOne.waitFor();
      const [, id = ''] = /Edit and redrive (\S+)/.exec(await titleOf(page, editOne)) ?? [];
      const edit = await opened(page, editOne, `Edit and redrive ${id}`, check);
      await edit.press(edit.dialog.getByRole('button', { name: 'Redrive it so' }));
      await page.getByText('1 dead letter redriven.').waitFor();
      await page.getByRole('button', { name: 'Close' }).click();
      const again = page.locator('.group').first();
      const redrive = await opened(
        page,
        again.getByRole('button', { name: 'Redrive…' }).first(),
        'Redrive 2 dead letters?',
      );
      await redrive.type(redrive.dialog.getByLabel('Messages a second'), '0.1');
      await redrive.press(redrive.dialog.getByRole('button', { name: 'Redrive 2 dead letters' }));
      await page.getByRole('button', { name: 'Stop', exact: true }).click();
      // How many were moved before it was stopped is a matter of time.
      const drop = await opened(
        page,
        page.getByRole('button', { name: 'Drop all…' }),
        /^Drop \d dead letters?\?$/,
        check,
      );
      await drop.press(drop.dialog.getByRole('button', { name: /^Drop \d/ }));
      await page.getByText(/^\d dead letters? dropped\.$/).waitFor();
    }
  });

  test('a dialog that Escape closes opens again by a key that is pressed right after', async (t) => {
    const { httpUrl, visit } = await start(t);
    const page = await visit(`${httpUrl}/#/users`);
    const dialog = page.getByRole('dialog', { name: 'Add a user' });
    await page.getByRole('button', { name: 'Add…' }).press('Enter');
    await dialog.waitFor();
    // While the page is busy both keys wait for it, and are taken before what follows from the first.
    await Promise.all([
      page.evaluate('for (const end = performance.now() + 500; performance.now() < end;);'),
      page.keyboard.press('Escape'),
      page.keyboard.press('Enter'),
    ]);
    await dialog.waitFor({ timeout: 5_000 });
    assert.equal(await page.locator('dialog').count(), 1);
  });

  test('the dialogs of users do by keyboard what they do, whatever the names are', async (t) => {
    const { httpUrl } = await start(t, { token: TOKEN });
    const { page, complaints } = await open(browser(), `${httpUrl}/#/users`, { asked });
    t.after(() => page.close());
    page.setDefaultTimeout(15_000);
    await page.getByRole('button', { name: 'Token' }).click();
    await page.getByRole('textbox', { name: 'Token' }).fill(TOKEN);
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByText('You are token.').waitFor();
    await page.evaluate(axeCore.source);
    for (const [index, hostile] of NAMES.entries()) {
      const check = index === 0 ? 'with axe' : 'quickly';
      const name = `u ${hostile}`;
      const add = await opened(page, page.getByRole('button', { name: 'Add…' }), 'Add a user', check);
      await add.type(add.dialog.getByLabel('Name', { exact: true }), name);
      await page.keyboard.press('Enter');
      const button = (what: string): Locator => page.getByRole('button', { name: `${what} ${name}`, exact: true });
      await button('Change').waitFor();

      const change = await opened(page, button('Change'), `Change ${name}`, check);
      await change.press(change.dialog.getByLabel('Role'), 'v');
      await change.type(change.dialog.getByLabel('Tags'), hostile.replaceAll(/[\s,]/g, ''));
      await page.keyboard.press('Enter');
      await page.getByText(`${name} is changed.`).waitFor();
      await page
        .getByRole('row', { name: literally(name) })
        .getByText('viewer')
        .waitFor();

      const allow = await opened(page, button('Allow'), `Allow ${name} something`, check);
      await allow.press(allow.dialog.getByLabel('publish'), 'Space');
      await allow.type(allow.dialog.getByLabel('With what has this name'), hostile);
      await page.keyboard.press('Enter');
      await page.getByText(`${name} may publish ${hostile} in default.`).waitFor();

      const keys = await opened(page, button('Keys'), `Access keys of ${name}`, check);
      await keys.press(keys.dialog.getByRole('button', { name: 'Make a key' }));
      await keys.dialog.locator('pre').waitFor();
      await keys.press(keys.dialog.getByRole('button', { name: 'Remove' }));
      await keys.dialog.getByText('It has none.').waitFor();
      await page.keyboard.press('Escape');
      await keys.dialog.waitFor({ state: 'detached' });

      const remove = await opened(page, button('Remove'), `Remove ${name}?`, check);
      await remove.press(remove.dialog.getByRole('button', { name: 'Remove', exact: true }));
      await page.getByText(`${name} is removed.`).waitFor();
      await button('Change').waitFor({ state: 'detached' });
    }
    // Before the login the page is told so, and the browser writes that down.
    assert.deepEqual(
      complaints.filter((text) => !text.includes('status of 401')),
      [],
    );
  });
}

/** A message's dialog has its id in the title. */
async function titleOf(page: Page, opener: Locator): Promise<string> {
  await opener.click();
  const title = (await page.getByRole('dialog').getByRole('heading').textContent()) ?? '';
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  return title;
}
