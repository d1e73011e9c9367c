/** A worker that dies of one message, with nineteen others in hand: `URL`. */
import { connect, defineQueue } from 'railhead';

const tasks = defineQueue<{ name: string }>('tasks', { maxCrashes: 3, lease: '30s' });
process.on('disconnect', () => process.exit());
const rail = await connect(process.argv[2] ?? '');
rail.queue(tasks).work(
  async ({ body }) => {
    process.send?.({ begun: body.name });
    // All twenty are begun before the poison does its work.
    await new Promise((resolve) => setTimeout(resolve, body.name === 'poison' ? 60 : 120));
    if (body.name === 'poison') process.kill(process.pid, 'SIGKILL');
    process.send?.({ done: body.name });
  },
  { concurrency: 20 },
);
