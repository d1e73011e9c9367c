import type { AmqpOutput } from './codec.ts';
import type { AnyMethod } from './methods.ts';
import type { Topology } from './topology.ts';

/** The methods that make, bind and delete. */
export type DefinitionMethod = Extract<AnyMethod, { name: `exchange${string}` | `queue${string}` }>;

/** Obeys one and answers it, unless the client does not want an answer. */
export async function define(
  method: DefinitionMethod,
  topology: Topology,
  out: AmqpOutput,
  channel: number,
): Promise<void> {
  switch (method.name) {
    case 'exchangeDeclare':
      await topology.declareExchange(method.args);
      if (!method.args.noWait) out.method(channel, 'exchangeDeclareOk', {});
      return;
    case 'exchangeDelete':
      await topology.deleteExchange(method.args);
      if (!method.args.noWait) out.method(channel, 'exchangeDeleteOk', {});
      return;
    case 'exchangeBind':
      await topology.bindExchange(method.args, 'bind');
      if (!method.args.noWait) out.method(channel, 'exchangeBindOk', {});
      return;
    case 'exchangeUnbind':
      await topology.bindExchange(method.args, 'unbind');
      if (!method.args.noWait) out.method(channel, 'exchangeUnbindOk', {});
      return;
    case 'queueDeclare': {
      const declared = await topology.declareQueue(method.args);
      if (!method.args.noWait) out.method(channel, 'queueDeclareOk', declared);
      return;
    }
    case 'queueDelete': {
      const messageCount = await topology.deleteQueue(method.args);
      if (!method.args.noWait) out.method(channel, 'queueDeleteOk', { messageCount });
      return;
    }
    case 'queuePurge': {
      const messageCount = await topology.purgeQueue(method.args);
      if (!method.args.noWait) out.method(channel, 'queuePurgeOk', { messageCount });
      return;
    }
    case 'queueBind':
      await topology.bindQueue(method.args, 'bind');
      if (!method.args.noWait) out.method(channel, 'queueBindOk', {});
      return;
    case 'queueUnbind':
      await topology.bindQueue(method.args, 'unbind');
      out.method(channel, 'queueUnbindOk', {});
      return;
    default:
  }
}
