// Sends with one published Node SDK: node node_clients.mjs '{"sdk": …, "jobs": [{"host", "key", "account", "events"}]}'.
// Each event is {"id", "at"}; `every_ms` lies between two. Prints one line of JSON: what each job was told of errors.
import { Analytics } from '@segment/analytics-node'
import RudderAnalytics from '@rudderstack/rudder-sdk-node'
import { PostHog } from 'posthog-node'

const pause = (ms) => new Promise((done) => setTimeout(done, ms))
const user = 'kim'
const name = 'Report Generated'
const properties = { rows: 120, city: 'Köln' }

const clients = {
  'analytics-node': ({ host, key, account, patience }, failed) => {
    const client = new Analytics({
      host, writeKey: key, flushAt: 5, flushInterval: 50, httpRequestTimeout: 1500, maxRetries: patience ? 20 : 3,
    })
    client.on('error', failed)
    const context = { groupId: account }
    return {
      about: () => {
        client.group({ userId: user, groupId: account, traits: { segment: 'smb' } })
        client.identify({ userId: user, traits: { role: 'champion' }, context })
      },
      track: ({ id, at }) =>
        client.track({ userId: user, event: name, properties, context, messageId: id, timestamp: new Date(at) }),
      close: () => client.closeAndFlush({ timeout: patience ? 60000 : 12000 }),
    }
  },
  'rudder-sdk-node': ({ host, key, account, patience }, failed) => {
    const client = new RudderAnalytics(key, {
      dataPlaneUrl: host, flushAt: 5, flushInterval: 50, timeout: 1500, retryCount: patience ? 12 : 3,
      errorHandler: failed, logLevel: 'error',
    })
    const context = { groupId: account }
    return {
      about: () => {
        client.group({ userId: user, groupId: account, traits: { segment: 'smb' } })
        client.identify({ userId: user, traits: { role: 'champion' }, context })
      },
      track: ({ id, at }) =>
        client.track({ userId: user, event: name, properties, context, messageId: id, timestamp: new Date(at) }),
      close: async () => {
        // One flush is one batch, and waits for the one before.
        do await new Promise((done) => client.flush(done))
        while (client.queue.length > 0)
        await new Promise((done) => client.flush(done))
      },
    }
  },
  'posthog-node': ({ host, key, account, patience }, failed) => {
    const client = new PostHog(key, {
      host, flushAt: 5, flushInterval: 50, requestTimeout: 1500, fetchRetryCount: patience ? 100 : 3, fetchRetryDelay: 500,
    })
    client.on('error', failed)
    return {
      about: () => {
        client.groupIdentify({ groupType: 'company', groupKey: account, properties: { segment: 'smb' } })
        client.identify({ distinctId: user, properties: { role: 'champion' } })
      },
      track: ({ id, at }) =>
        client.capture({
          distinctId: user, event: name, properties, groups: { company: account }, uuid: id, timestamp: new Date(at),
        }),
      close: () => client.shutdown(patience ? 60000 : 12000),
    }
  },
}

async function run(sdk, job) {
  const errors = []
  const client = clients[sdk](job, (error) => errors.push(String(error?.message ?? error?.reason ?? error?.code ?? error)))
  if (job.about) client.about()
  for (const event of job.events) {
    client.track(event)
    await pause(job.every_ms ?? 0)
  }
  await client.close().catch((error) => errors.push(String(error)))
  return { account: job.account, errors }
}

process.on('unhandledRejection', () => {})
const { sdk, jobs } = JSON.parse(process.argv[2])
const told = await Promise.all(jobs.map((job) => run(sdk, job)))
console.log(JSON.stringify(told))
process.exit(0)
