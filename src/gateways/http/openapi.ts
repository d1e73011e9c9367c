import { z } from 'zod';
import { VERSION } from '../../core/version.ts';
import { ERRORS } from '../../core/errors.ts';
import { ROUTES } from './routes/index.ts';
import type { Route } from './route.ts';

type Json = Record<string, unknown>;

const ERROR_RESPONSE = { $ref: '#/components/responses/Error' };

/** The OpenAPI 3.1 document of the API, from the schemas that check its requests. */
export function openApiDocument(): Json {
  const paths: Record<string, Json> = {};
  for (const { spec } of ROUTES) {
    const path = `/api/v1${spec.path}`;
    paths[path] = { ...paths[path], [spec.method]: operation(spec) };
  }
  paths['/healthz'] = { get: probe('healthz', 'The process works.') };
  paths['/readyz'] = { get: probe('readyz', 'The broker takes requests.') };
  return {
    openapi: '3.1.0',
    info: {
      title: 'Railhead',
      version: VERSION,
      description:
        'Durable queues, topics and replay over HTTP and JSON. Times are ISO 8601 in UTC, durations have a unit (30s).',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    security: [{ token: [] }, {}],
    paths,
    components: {
      securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
      parameters: {
        namespace: {
          name: 'Railhead-Namespace',
          in: 'header',
          required: false,
          schema: { type: 'string', default: 'default' },
        },
      },
      responses: {
        Error: {
          description: 'Nothing changed, unless details say so.',
          content: { 'application/json': { schema: errorSchema() } },
        },
      },
    },
  };
}

function operation(spec: Route['spec']): Json {
  const query = spec.query === undefined ? [] : parameters(spec.query, 'query');
  return {
    operationId: spec.operationId,
    summary: spec.summary,
    tags: [spec.tag],
    parameters: [{ $ref: '#/components/parameters/namespace' }, ...pathParameters(spec.path), ...query],
    ...(spec.body !== undefined && {
      requestBody: {
        required: spec.bodyOptional !== true,
        content: { 'application/json': { schema: schemaOf(spec.body, 'input') } },
      },
    }),
    responses: {
      200: {
        description: 'Done.',
        content: { [spec.streams ?? 'application/json']: { schema: schemaOf(spec.result, 'output') } },
      },
      default: ERROR_RESPONSE,
    },
  };
}

function pathParameters(path: string): Json[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string', minLength: 1, maxLength: 255 },
  }));
}

function parameters(schema: z.ZodType, place: string): Json[] {
  const { properties, required } = schemaOf(schema, 'input') as {
    properties?: Record<string, Json>;
    required?: string[];
  };
  return Object.entries(properties ?? {}).map(([name, { description, ...rest }]) => ({
    name,
    in: place,
    required: required?.includes(name) ?? false,
    ...(description !== undefined && { description }),
    schema: rest,
  }));
}

function schemaOf(schema: z.ZodType, io: 'input' | 'output'): Json {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, {
    io,
    unrepresentable: 'any',
    // The format says it all; its pattern is 300 characters in every place.
    override: ({ jsonSchema }) => {
      if (jsonSchema.format !== undefined) delete jsonSchema.pattern;
    },
  });
  return rest;
}

function errorSchema(): Json {
  const code = { type: 'string', enum: [...Object.keys(ERRORS), 'INTERNAL'] };
  const error = {
    type: 'object',
    properties: {
      code,
      message: { type: 'string', description: 'What was got, what is allowed, what to do.' },
      retryable: { type: 'boolean', description: 'The same request may succeed later.' },
      details: { type: 'object' },
    },
    required: ['code', 'message', 'retryable'],
  };
  return { type: 'object', properties: { error }, required: ['error'] };
}

function probe(operationId: string, description: string): Json {
  return {
    operationId,
    tags: ['health'],
    security: [],
    responses: { 200: { description }, 503: { description: 'It does not; `reason` says why.' } },
  };
}
