import { z } from 'zod';
import { defineQueue, defineTopic } from '../sdk/define.ts';

/** The queues and topics of the pipeline. The service and the workers import the same definitions. */

export const Signup = z.object({
  id: z.string(),
  name: z.string(),
  email: z.email(),
  plan: z.enum(['free', 'pro', 'team']),
  /** File of the photograph that the user uploaded. */
  photo: z.string(),
});
export type Signup = z.infer<typeof Signup>;

/** A sign-up that is sent again after an unclear answer is stored once. */
const dedupeWindow = '5m';

export const emails = defineQueue('emails', {
  schema: Signup,
  maxAttempts: 5,
  backoff: { type: 'exponential', min: '200ms', max: '2s' },
  dedupeWindow,
});

export const thumbnails = defineQueue('thumbnails', {
  schema: Signup,
  maxAttempts: 3,
  backoff: { type: 'exponential', min: '600ms', max: '2s', jitter: false },
  dedupeWindow,
});

export const signups = defineTopic('user.signed-up', { schema: Signup, retain: { age: '7d' }, dedupeWindow });

/** For chapter 4: the mail provider takes 500 a second, and the queue keeps that promise. */
export const greetings = defineQueue('greetings', { schema: Signup, consumeRate: '500/s' });
