import type { Chapter } from '../chapter.ts';

const MAIL = ['nodemailer', 'smtp-server'] as const;

/**
 * The tour, in order. A chapter is loaded when it is run: the packages of one that sends e-mails or makes thumbnails
 * may not be there.
 */
export const CHAPTERS: readonly Chapter[] = [
  {
    title: 'Answer first, work later',
    needs: [...MAIL, 'sharp'],
    load: async () => (await import('./response-time.ts')).responseTime,
  },
  {
    title: 'More workers, less waiting',
    needs: MAIL,
    load: async () => (await import('./competing-consumers.ts')).competingConsumers,
  },
  {
    title: 'kill -9, and nothing is lost',
    needs: [...MAIL, 'sharp'],
    load: async () => (await import('./kill.ts')).kill,
  },
  { title: 'A burst, levelled', needs: [], load: async () => (await import('./load-levelling.ts')).loadLevelling },
  { title: 'A poison message', needs: ['sharp'], load: async () => (await import('./poison.ts')).poison },
  {
    title: 'One event, many readers',
    needs: [],
    load: async () => (await import('./publish-subscribe.ts')).publishSubscribe,
  },
  { title: 'A full queue pushes back', needs: [], load: async () => (await import('./backpressure.ts')).backpressure },
  { title: 'An order, and the way back', needs: [], load: async () => (await import('./saga.ts')).saga },
];
