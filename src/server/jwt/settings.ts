import { z } from 'zod';
import { ROLES, RULE_VERBS } from '../../core/roles.ts';
import { duration, nonEmpty } from '../setting-units.ts';

/** Signatures with a key of two halves alone: one that is made with a shared secret could be made with our public one. */
const ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
] as const;

const MAX_CLOCK_SKEW_MS = 5 * 60_000;

/** What a claim allows. */
const allowSchema = z
  .strictObject({
    /** Of a nested one the path: `realm_access.roles`. */
    claim: nonEmpty,
    /** It is this text, or a list with it, or has it among words with spaces between them (`scope`). */
    has: nonEmpty,
    role: z.enum(ROLES).optional(),
    rules: z
      .array(
        z.strictObject({
          verbs: z.array(z.enum(RULE_VERBS)).min(1),
          pattern: nonEmpty,
          namespace: nonEmpty.default('default'),
        }),
      )
      .default([]),
  })
  .refine(({ role, rules }) => role !== undefined || rules.length > 0, 'neither role nor rules');

export const issuerSchema = z
  .strictObject({
    /** Before the names of who comes from there, so that nobody there has the name of a user here: `NAME:SUBJECT`. */
    name: z.string().regex(/^[\w.-]{1,32}$/),
    /** As the claim `iss` has it, letter by letter. */
    issuer: nonEmpty,
    /** The claim `aud` has one of these. */
    audience: z.union([nonEmpty.transform((one) => [one]), z.array(nonEmpty).min(1)]),
    /** Where its keys are. Default: what `ISSUER/.well-known/openid-configuration` says. */
    jwksUrl: z.url({ protocol: /^https?$/ }).optional(),
    /** Its keys in a file, instead. Read at the start and at SIGHUP. */
    jwksFile: nonEmpty.optional(),
    /** `public`: keys are fetched by https from addresses of the open internet. `any`: also from a network of your own. */
    addresses: z.enum(['public', 'any']).default('public'),
    algorithms: z.array(z.enum(ALGORITHMS)).min(1).default(['RS256', 'PS256', 'ES256', 'EdDSA']),
    /** The claim that names who it is. */
    subject: nonEmpty.default('sub'),
    /** How far the clocks may be apart. */
    clockSkew: duration('jwt.clockSkew').pipe(z.int().max(MAX_CLOCK_SKEW_MS)).default(30_000),
    allow: z.array(allowSchema).default([]),
    /** People log in to the dashboard there (the authorization code flow, with PKCE). */
    login: z
      .strictObject({
        /** Of the dashboard, as it is registered with the issuer. */
        clientId: nonEmpty,
        /** Left out: a public client, which PKCE is made for. */
        clientSecret: nonEmpty.optional(),
        /** Where people open the dashboard. The issuer leads back to `URL/api/v1/login/NAME/done`. */
        url: z.url({ protocol: /^https?$/ }),
        /** With `offline_access` most issuers give a refresh token: the login is then renewed before its token ends. */
        scope: nonEmpty.default('openid profile email'),
      })
      .optional(),
  })
  .refine(({ jwksUrl, jwksFile }) => jwksUrl === undefined || jwksFile === undefined, 'both jwksUrl and jwksFile')
  .refine(
    ({ issuer, jwksUrl, jwksFile, addresses }) => jwksFile !== undefined || isAllowedUrl(jwksUrl ?? issuer, addresses),
    'keys that are fetched without https',
  )
  .refine(
    ({ issuer, login, addresses }) => login === undefined || isAllowedUrl(issuer, addresses),
    'a login with an issuer that is not asked by https',
  );

export type IssuerConfig = z.output<typeof issuerSchema>;

export function isAllowedUrl(url: string, addresses: 'public' | 'any'): boolean {
  return (addresses === 'any' ? /^https?:\/\//i : /^https:\/\//i).test(url);
}
