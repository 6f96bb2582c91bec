// Looks at pages in Debian's Chromium: axe-core's rules for WCAG 2.1 A and AA, no script error, no request to elsewhere, nothing wider than
// the screen, no layout shift; and a picture of each at 360 and 1300 pixels.
//
//   npm install playwright-core@1.65.1 axe-core@4.14.1     (anywhere; name that folder in NODE_MODULES)
//   NODE_MODULES=… node tests/browser/look.mjs http://127.0.0.1:8099 pictures da/ en/ ar/campaign/square-2026
//
// It ends with 1 if a page breaks a rule, and says which.
import { createRequire } from 'node:module';
import fs from 'node:fs';
import path from 'node:path';

const require = createRequire(path.join(process.env.NODE_MODULES ?? process.cwd(), 'package.json'));
const { chromium } = require('playwright-core');
const axe = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const [base, folder, ...pages] = process.argv.slice(2);
fs.mkdirSync(folder, { recursive: true });

const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
let faults = 0;
const fault = (page, what) => { faults += 1; console.log(`${page}: ${what}`); };

for (const colours of ['light', 'dark']) {
  for (const width of [360, 1300]) {
    const context = await browser.newContext({ viewport: { width, height: width === 360 ? 740 : 900 }, colorScheme: colours, locale: 'da-DK' });
    const tab = await context.newPage();
    await tab.addInitScript(() => {
      window.shifted = 0;
      new PerformanceObserver((list) => { for (const one of list.getEntries()) window.shifted += one.value; }).observe({ type: 'layout-shift', buffered: true });
    });
    tab.on('request', (request) => {
      if (!request.url().startsWith(base) && !request.url().startsWith('data:')) fault(tab.url(), `asks ${request.url()}`);
    });
    tab.on('console', (message) => { if (message.type() === 'error' && !message.text().includes('404')) fault(tab.url(), `says ${message.text()}`); });
    tab.on('pageerror', (error) => fault(tab.url(), `${error}`));
    for (const page of pages) {
      await tab.goto(`${base}/${page}`, { waitUntil: 'load' });
      const wide = await tab.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      if (wide > 0) fault(page, `is ${wide} pixels wider than a screen of ${width}`);
      const shifted = await tab.evaluate(() => window.shifted);
      if (shifted > 0.01) fault(page, `moves by ${shifted} while it is loaded, at ${width}`);
      await tab.evaluate(axe);
      const found = await tab.evaluate(() => window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'] }));
      for (const one of found.violations) {
        fault(page, `${colours} ${width}: ${one.id} (${one.impact}): ${one.nodes.slice(0, 3).map((node) => node.target.join(' ') + ' ' + (node.any[0]?.message ?? '')).join('; ')}`);
      }
      if (colours === 'light' || page === pages[0]) {
        const name = `${page.replaceAll(/[^a-z0-9]+/gi, '-')}${colours === 'dark' ? '-dark' : ''}-${width}.png`;
        await tab.screenshot({ path: path.join(folder, name), fullPage: true });
      }
    }
    await context.close();
  }
}
await browser.close();
console.log(faults === 0 ? `${pages.length} pages: nothing to complain about` : `${faults} faults`);
process.exit(faults === 0 ? 0 : 1);
