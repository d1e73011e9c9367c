import { APIS } from './apis.ts';
import { ERROR } from './errors.ts';
import type { Api, ResponseOf } from './fields.ts';

/** What is spoken here: the answer to the first question of a client. */
export function announce(outcome: 'supported' | 'unsupported'): ResponseOf<typeof APIS.apiVersions> {
  const apis: Api[] = Object.values(APIS);
  return {
    errorCode: outcome === 'supported' ? ERROR.NONE : ERROR.UNSUPPORTED_VERSION,
    apiKeys: apis
      .map(({ key, versions: [minVersion, maxVersion] }) => ({ apiKey: key, minVersion, maxVersion }))
      .sort((a, b) => a.apiKey - b.apiKey),
  };
}
