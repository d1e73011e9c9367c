import {
  api,
  array,
  bool,
  bytes,
  float64,
  int16,
  int32,
  int8,
  nullableArray,
  nullableString,
  string,
  struct,
} from '../fields.ts';

/** Users: how they log in, and how much of the broker they may have. */

export const describeUserScramCredentials = api(50, [0, 0], 0, {
  request: struct({ users: nullableArray(struct({ name: string })) }),
  response: struct({
    throttleTimeMs: int32.or(0),
    errorCode: int16,
    errorMessage: nullableString,
    results: array(
      struct({
        user: string,
        errorCode: int16,
        errorMessage: nullableString,
        credentialInfos: array(struct({ mechanism: int8, iterations: int32 })),
      }),
    ),
  }),
});

export const alterUserScramCredentials = api(51, [0, 0], 0, {
  request: struct({
    deletions: array(struct({ name: string, mechanism: int8 })),
    upsertions: array(struct({ name: string, mechanism: int8, iterations: int32, salt: bytes, saltedPassword: bytes })),
  }),
  response: struct({
    throttleTimeMs: int32.or(0),
    results: array(struct({ user: string, errorCode: int16, errorMessage: nullableString })),
  }),
});

const entity = array(struct({ entityType: string, entityName: nullableString }));

export const describeClientQuotas = api(48, [0, 1], 1, {
  request: struct({
    components: array(struct({ entityType: string, matchType: int8, match: nullableString })),
    strict: bool,
  }),
  response: struct({
    throttleTimeMs: int32.or(0),
    errorCode: int16,
    errorMessage: nullableString,
    entries: nullableArray(struct({ entity, values: array(struct({ key: string, value: float64 })) })),
  }),
});

export const alterClientQuotas = api(49, [0, 1], 1, {
  request: struct({
    entries: array(struct({ entity, ops: array(struct({ key: string, value: float64, remove: bool })) })),
    validateOnly: bool,
  }),
  response: struct({
    throttleTimeMs: int32.or(0),
    entries: array(struct({ errorCode: int16, errorMessage: nullableString, entity })),
  }),
});
