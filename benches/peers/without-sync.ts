import { connectRemote } from '../../src/sdk/remote/remote-session.ts';

/** Its answers wait for the system to have what was written, and not for the disk: as those of peers that keep nothing, or sync later. */
export async function withoutSync(url: string, name: string): Promise<void> {
  const session = await connectRemote({ url });
  const { kind, policy } = await session.request('describeTopic', { name });
  const declared = { name, kind, policy: { ...policy, durability: 'write' } as const, ifDifferent: 'update' } as const;
  await session.request('declareTopic', declared);
  await session.close();
}
