import { existsSync } from 'node:fs';
import { type Browser, chromium, type Page } from 'playwright-core';

/** Where Debian, Ubuntu, Fedora and macOS have it; `CHROMIUM` names another place. */
const PLACES = [
  process.env['CHROMIUM'],
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
];

export const chromiumPath = PLACES.find((path) => path !== undefined && existsSync(path));

/** For the `skip` of a test: why, or false. */
export const noBrowser =
  chromiumPath === undefined
    ? 'there is no Chromium on this machine; `apt-get install chromium`, or set CHROMIUM to its path'
    : false;

export async function launch(): Promise<Browser> {
  return chromium.launch({
    ...(chromiumPath !== undefined && { executablePath: chromiumPath }),
    // In a container the sandbox of Chromium cannot be set up, and the pages are our own.
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--font-render-hinting=none'],
  });
}

/** What no page may do: run a script that is not ours, ask another host, fail. */
export interface Watched {
  page: Page;
  /** In words. Empty when all is well. */
  complaints: string[];
}

/** Opens a page whose every complaint is heard, from before its first script on. */
export async function open(
  browser: Browser,
  url: string,
  options: { width?: number; height?: number; dark?: boolean; asked?: string[] } = {},
): Promise<Watched> {
  const page = await browser.newPage({
    viewport: { width: options.width ?? 1280, height: options.height ?? 800 },
    colorScheme: options.dark === true ? 'dark' : 'light',
    timezoneId: 'UTC',
    locale: 'en-GB',
  });
  const complaints: string[] = [];
  const { host } = new URL(url);
  page.on('pageerror', (error) => complaints.push(`an error: ${error.message}`));
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(`the console: ${message.text()}`);
  });
  page.on('dialog', (dialog) => {
    complaints.push(`a dialog of a script: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on('request', (request) => {
    const asked = new URL(request.url());
    if (asked.host !== host) complaints.push(`another host: ${asked.href}`);
    options.asked?.push(`${request.method()} ${asked.pathname}`);
  });
  await page.exposeFunction('complain', (text: string) => void complaints.push(text));
  await page.addInitScript(
    "document.addEventListener('securitypolicyviolation', (event) => complain(`the policy: ${event.violatedDirective} ${event.blockedURI}`))",
  );
  await page.goto(url);
  return { page, complaints };
}
