import { RailheadError } from '../../src/core/errors.ts';
import type { ShardSession } from '../../src/engine/session.ts';
import { bodyOf } from './drafts.ts';
import type { TopicPlan } from './topology.ts';
import type { World } from './world.ts';

/** A body that lies there whole, and is to be named by a publish. */
export interface Upload {
  readonly text: string;
  readonly bytes: number;
  readonly body: number;
}

export interface UploadsOptions {
  readonly world: World;
  readonly ready: () => readonly TopicPlan[];
  readonly nextText: () => string;
  /** Never rejects. */
  readonly publish: (session: ShardSession, plan: TopicPlan, upload: Upload) => Promise<void>;
  readonly expected: (error: unknown, ...codes: string[]) => void;
}

/** What becomes of it once it has begun. Only what is `published` is ever seen by anybody. */
const FATES = ['published', 'published', 'published', 'aborted', 'forgotten', 'short', 'left'] as const;
const AT_ONCE = 3;

/** Clients that send large bodies piece by piece, before the publish that names them, and some that change their minds. */
export class Uploads {
  readonly #options: UploadsOptions;
  #open = 0;

  constructor(options: UploadsOptions) {
    this.#options = options;
  }

  act(): void {
    const { world, ready, expected } = this.#options;
    const plans = ready().filter(({ calm }) => !calm);
    if (plans.length === 0 || this.#open >= AT_ONCE) return;
    this.#open++;
    this.#upload(world.random.pick(plans))
      .catch((error: unknown) => expected(error, 'TOO_LARGE', 'QUEUE_FULL', 'ABORTED', 'NOT_FOUND'))
      .finally(() => this.#open--);
  }

  async #upload(plan: TopicPlan): Promise<void> {
    const { world, nextText, publish } = this.#options;
    const { random } = world;
    const session = world.connect();
    const fate = random.pick(FATES);
    const text = nextText();
    const bytes = 100 + random.below(2500);
    const content = bodyOf(text, bytes);
    const body = await session.body({ topic: plan.name }, bytes);
    const end = fate === 'short' ? bytes - 1 : bytes;
    for (let at = 0; at < end;) {
      const to = Math.min(end, at + 1 + random.below(1200));
      await body.write(content.subarray(at, to));
      if (fate === 'aborted' && random.chance(0.5)) return body.abort();
      if (fate === 'left' && random.chance(0.5)) return session.close('lost');
      at = to;
    }
    try {
      await body.end();
    } catch (error) {
      if (fate === 'short' && RailheadError.is(error, 'INVALID')) return;
      throw error;
    }
    if (fate === 'published') await publish(session, plan, { text, bytes, body: body.id });
    else if (fate === 'aborted') await body.abort();
    else if (fate === 'left') await session.close('lost');
  }
}
