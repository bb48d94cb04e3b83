// Sends with one published browser SDK in headless Chromium:
// node browser_clients.mjs '{"sdk", "chromium", "page", "jobs": [{"host", "key", "account", "events", "linger_ms"}]}'.
// `page` is an address whose page loads the SDK's own bundle; each job has a browser context of its own.
import { chromium } from 'playwright-core'

const pause = (ms) => new Promise((done) => setTimeout(done, ms))

const senders = {
  'analytics-next': async ({ host, key, account, about, events, every_ms }) => {
    const analytics = window.AnalyticsNext.AnalyticsBrowser.load({ writeKey: key, cdnURL: host })
    const context = { groupId: account }
    if (about) {
      await analytics.group(account, { segment: 'smb' })
      await analytics.identify('kim', { role: 'champion' }, { context })
    }
    for (const { id, at } of events) {
      analytics.track('Report Generated', { rows: 120, city: 'Köln' }, { userId: 'kim', context, messageId: id, timestamp: at })
      await new Promise((done) => setTimeout(done, every_ms ?? 0))
    }
  },
  'analytics-js': async ({ host, key, account, about, events, every_ms }) => {
    const analytics = new window.rudderanalytics.RudderAnalytics()
    analytics.load(key, host, { configUrl: host, queueOptions: { minRetryDelay: 500, timerScaleFactor: 1 } })
    const context = { groupId: account }
    if (about) {
      analytics.group(account, { segment: 'smb' })
      analytics.identify('kim', { role: 'champion' }, { context })
    }
    for (const { id, at } of events) {
      analytics.track('Report Generated', { rows: 120, city: 'Köln', id }, { context, originalTimestamp: at })
      await new Promise((done) => setTimeout(done, every_ms ?? 0))
    }
  },
}

async function run(browser, page_url, sdk, job) {
  const context = await browser.newContext()
  const page = await context.newPage()
  const errors = []
  page.on('pageerror', (error) => errors.push(String(error)))
  page.on('console', (line) => line.type() === 'error' && errors.push(line.text()))
  await page.goto(page_url)
  await page.evaluate(senders[sdk], job)
  await pause(job.linger_ms)
  return { account: job.account, errors }
}

const { sdk, chromium: executablePath, page, jobs } = JSON.parse(process.argv[2])
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage'] })
const told = await Promise.all(jobs.map((job) => run(browser, page, sdk, job)))
await browser.close()
console.log(JSON.stringify(told))
