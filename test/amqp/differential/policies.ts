import { OPERATOR_POLICY_DOCUMENT, Policies, type PolicyDefinition } from '../../../src/gateways/policies.ts';
import type { RabbitMq } from '../rabbitmq.ts';

interface Rule {
  name: string;
  /** The end of the name of a queue: each run puts a prefix of its own before it. */
  of: string;
  definition: PolicyDefinition;
}

/** One for each queue of the scripts that have policies; they ask for other limits themselves, or for none. */
const POLICIES: readonly Rule[] = [
  { name: 'short', of: 'p0', definition: { 'max-length': 2 } },
  { name: 'refusing', of: 'p1', definition: { 'max-length': 3, overflow: 'reject-publish' } },
];

/** Over those: the stricter number counts. */
const OPERATORS: readonly Rule[] = [{ name: 'strict', of: 'p[12]', definition: { 'max-length': 2 } }];

/** Sets the same policies on both brokers. */
export async function setPolicies(
  rabbitmq: Pick<RabbitMq, 'control'>,
  session: ConstructorParameters<typeof Policies>[0],
): Promise<void> {
  for (const [command, rules, kept] of [
    ['set_policy', POLICIES, new Policies(session)],
    ['set_operator_policy', OPERATORS, new Policies(session, OPERATOR_POLICY_DOCUMENT)],
  ] as const)
    for (const { name, of, definition } of rules) {
      const pattern = `\\.${of}$`;
      await rabbitmq.control(command, '--apply-to', 'queues', name, pattern, JSON.stringify(definition));
      await kept.put({ name, pattern, applyTo: 'queues', definition });
    }
}
