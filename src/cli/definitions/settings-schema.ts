import { z } from 'zod';
import { APPLY_TO } from '../../gateways/policies.ts';
import { QUEUE_TYPES } from '../../gateways/vhost-facts.ts';
import { VHOST_LIMITS } from '../../gateways/vhost-limits.ts';
import { name } from '../../gateways/http/route.ts';
import { schemaFields } from '../../gateways/http/routes/schemas.ts';

const user = z.string().min(1).max(128);
const pattern = z.string().max(1024);

const policies = z.record(
  name,
  z.strictObject({
    pattern,
    applyTo: z.enum(APPLY_TO).default('all'),
    priority: z.int().default(0),
    definition: z.record(z.string(), z.union([z.string(), z.number()])),
  }),
);

/** What a namespace says beside its queues and topics: of AMQP, and what stored users may do in it. */
export const settingsSchema = {
  vhost: z
    .strictObject({
      description: z.string().optional(),
      tags: z.array(z.string()).optional(),
      defaultQueueType: z.enum(QUEUE_TYPES).optional(),
    })
    .optional(),
  schemas: z.record(name, z.strictObject(schemaFields)).optional(),
  policies: policies.optional(),
  operatorPolicies: policies.optional(),
  vhostLimits: z.partialRecord(z.enum(VHOST_LIMITS), z.int().min(-1)).optional(),
  permissions: z
    .record(
      user,
      z.strictObject({ configure: pattern.default(''), write: pattern.default(''), read: pattern.default('') }),
    )
    .optional(),
  topicPermissions: z
    .record(user, z.record(name, z.strictObject({ write: pattern.default(''), read: pattern.default('') })))
    .optional(),
} as const;

const settings = z.strictObject(settingsSchema);

/** As people write them. */
export type SettingsText = z.input<typeof settings>;
export type Settings = z.output<typeof settings>;
