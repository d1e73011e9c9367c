import { z } from 'zod';
import { ROUTER_TYPES } from '../../core/policy.ts';
import { queueSchema, subscriptionSchema, topicSchema } from '../../gateways/http/options.ts';
import { name } from '../../gateways/http/route.ts';
import { bindingSchema } from '../../gateways/http/routes/routers.ts';
import { UsageError } from '../usage.ts';
import { settingsSchema } from './settings-schema.ts';

/**
 * What there is in one namespace, as one YAML file: options as everywhere else (`lease: 30s`), and what is left out has its
 * default, or stays as it is.
 */
const attributes = z.record(z.string(), z.string()).optional();

const paused = z.boolean().optional();

const subscriptionFields = subscriptionSchema.extend({ paused });

const definitionsSchema = z.strictObject({
  queues: z.record(name, queueSchema.extend({ attributes, paused }).nullable()).optional(),
  topics: z
    .record(
      name,
      topicSchema
        .extend({ attributes, subscriptions: z.record(name, subscriptionFields.nullable()).optional() })
        .nullable(),
    )
    .optional(),
  routers: z
    .record(
      name,
      z.strictObject({
        type: z.enum(ROUTER_TYPES),
        alternate: name.nullable().optional(),
        hashHeader: name.optional(),
        attributes,
        bindings: z.array(bindingSchema).optional(),
      }),
    )
    .optional(),
  schedules: z
    .record(
      name,
      z.strictObject({
        cron: z.string().min(1),
        timezone: z.string().min(1).optional(),
        topic: name,
        /** One record of the native format. */
        record: z.base64(),
      }),
    )
    .optional(),
  ...settingsSchema,
});

/** As people write it. */
export type DefinitionsText = z.input<typeof definitionsSchema>;
/** In the words of the engine. */
export type Definitions = z.output<typeof definitionsSchema>;

/** @throws UsageError naming the first thing that is wrong */
export async function readDefinitions(text: string, file: string): Promise<Definitions> {
  const { parse } = await import('yaml');
  let content: unknown;
  try {
    content = parse(text, { maxAliasCount: 100 });
  } catch (error) {
    const [first = ''] = error instanceof Error ? error.message.split('\n') : [];
    throw new UsageError(`${file} is not valid YAML: ${first}`);
  }
  const parsed = definitionsSchema.safeParse(content ?? {});
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new UsageError(`${file}: \`${issue?.path.join('.') ?? ''}\`: ${issue?.message ?? 'is not acceptable'}`);
}

export async function writeDefinitions(definitions: DefinitionsText): Promise<string> {
  const { stringify } = await import('yaml');
  return stringify(definitions, { lineWidth: 120, aliasDuplicateObjects: false });
}
