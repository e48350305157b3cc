// A person in front of Chromium: opens a page and goes through login, consent and device pages to the end.
//
// usage: node browser.mjs URL [--user alice] [--user-code CODE] [--deny]
// Knows the pages of `oidc-provider` and of the sandbox. Prints one JSON line: {"ok","url","text","version"}.

import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';

const { values: wish, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    user: { type: 'string', default: 'alice' },
    'user-code': { type: 'string' },
    deny: { type: 'boolean', default: false },
  },
});

const LOOPBACK = ['localhost', '127.0.0.1', '[::1]'];
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync',
  '--disable-background-networking', '--disable-component-update', '--disable-dev-shm-usage'];

const DENIALS = ['#deny', 'a[href$="/abort"]', 'button[name=abort]'];

/** What a page can ask, most telling first: a selector and what a person does there. */
const QUESTIONS = [
  // the sandbox: its own approval and device pages
  ['#approve', async (page) => {
    await page.fill('input[name=user]', wish.user);
    await fillUserCode(page);
    return wish.deny ? DENIALS[0] : '#approve';
  }],
  // oidc-provider: a form that sends itself, login, consent, a device's code, its confirmation
  ['form:has(input[name=user_code][type=hidden]):not(:has(input[name=confirm]))', async (page) => {
    await page.waitForSelector('input[name=confirm]', { state: 'attached' });
    return null;
  }],
  ['input[name=login]', async (page) => {
    await page.fill('input[name=login]', wish.user);
    await page.fill('input[name=password]', 'x');
    return 'button[type=submit]';
  }],
  ['input[name=prompt][value=consent]', async () => (wish.deny ? DENIALS[1] : 'button[type=submit]')],
  ['input[name=user_code]:not([type=hidden])', async (page) => {
    await fillUserCode(page);
    return 'button[type=submit]';
  }],
  ['input[name=confirm]', async () => (wish.deny ? DENIALS[2] : 'button[type=submit]:not([name=abort])')],
];

async function fillUserCode(page) {
  const field = page.locator('input[name=user_code]:not([type=hidden])');
  if (wish['user-code'] && (await field.count()) > 0) await field.fill(wish['user-code']);
}

/** Answers what the page asks; false when there is nothing more to answer. */
async function answer(page) {
  for (const [selector, decide] of QUESTIONS) {
    if ((await page.locator(selector).count()) === 0) continue;
    const button = await decide(page);
    if (button === null) return true;
    await Promise.all([page.waitForNavigation({ waitUntil: 'domcontentloaded' }), page.click(button)]);
    return !DENIALS.includes(button);
  }
  return false;
}

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  timeout: 30_000,
  args: FLAGS,
});
let told;
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(20_000);
  // The pages of oidc-provider import a web font, which would stall without a network.
  await page.route((url) => !LOOPBACK.includes(url.hostname), (route) => route.abort());
  await page.goto(positionals[0], { waitUntil: 'domcontentloaded' });
  const MOST_PAGES = 10;
  let pages = 1;
  while (pages <= MOST_PAGES && (await answer(page))) pages += 1;
  const text = (await page.locator('body').innerText()).trim();
  told = { ok: pages <= MOST_PAGES, url: page.url(), text, version: browser.version() };
} catch (error) {
  told = { ok: false, error: error.message, version: browser.version() };
} finally {
  await browser.close();
}
process.stdout.write(`${JSON.stringify(told)}\n`);
process.exit(told.ok ? 0 : 1);
