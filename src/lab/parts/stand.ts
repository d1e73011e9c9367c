import { join } from 'node:path';
import { connect } from '../../sdk/connect.ts';
import type { Rail } from '../../sdk/rail.ts';
import type { Stage } from '../chapter.ts';
import type { Child } from '../child.ts';
import type { ServiceConfig } from '../processes/service.ts';
import { SignupClient } from './client.ts';

/** The broker of a chapter, and a client of it for the lab itself. */
export interface Broker {
  readonly child: Child;
  readonly url: string;
  /** What it keeps its journal in. */
  readonly dir: string;
  readonly rail: Rail;
}

export async function startBroker({ fleet, dir: base, after }: Stage): Promise<Broker> {
  const dir = join(base, 'broker');
  const { child, url } = await fleet.startBroker(dir);
  const rail = await connect(url, { clientName: 'lab', definitions: 'update' });
  after(() => rail.close());
  return { child, url, dir, rail };
}

/** The sign-up service, and users of it. */
export async function startService(
  { fleet, after }: Stage,
  config: ServiceConfig,
): Promise<{ child: Child; port: number; users: SignupClient }> {
  const child = await fleet.start('service', config);
  const port = child.told('ready')[0]?.port ?? 0;
  const users = new SignupClient(port);
  after(() => users.close());
  return { child, port, users };
}
