import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Signup } from '../pipeline.ts';

export interface Answer {
  /** 0 when nobody answered. */
  status: number;
  ms: number;
}

const RETRY_MS = 100;

/** The browsers of the users: they post sign-ups to the service. */
export class SignupClient {
  readonly #port: number;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 64 });

  constructor(port: number) {
    this.#port = port;
  }

  post(path: string, signup: Signup): Promise<Answer> {
    const started = performance.now();
    const body = JSON.stringify(signup);
    return new Promise((resolve) => {
      const finish = (status: number): void => resolve({ status, ms: performance.now() - started });
      const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
      const options = { host: '127.0.0.1', port: this.#port, path, method: 'POST', agent: this.#agent, headers };
      request(options, (response) => {
        response.resume().once('end', () => finish(response.statusCode ?? 0));
        response.once('error', () => finish(0));
      })
        .once('error', () => finish(0))
        .end(body);
    });
  }

  /** Posts them in order, `lanes` at a time. */
  async postAll(path: string, signups: readonly Signup[], lanes: number): Promise<Answer[]> {
    const answers: Answer[] = [];
    const waiting = signups.values();
    const lane = async (): Promise<void> => {
      for (const signup of waiting) answers.push(await this.post(path, signup));
    };
    await Promise.all(Array.from({ length: lanes }, lane));
    return answers;
  }

  /** Posts it again until it is accepted, as a patient user would. False when that was not so after `patienceMs`. */
  async insist(path: string, signup: Signup, patienceMs: number): Promise<{ accepted: boolean; tries: number }> {
    const deadline = Date.now() + patienceMs;
    for (let tries = 1; ; tries++) {
      const { status } = await this.post(path, signup);
      if (status === 202) return { accepted: true, tries };
      if (Date.now() > deadline) return { accepted: false, tries };
      await sleep(RETRY_MS);
    }
  }

  close(): void {
    this.#agent.destroy();
  }
}
