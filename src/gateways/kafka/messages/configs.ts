import { api, array, bool, int16, int32, int8, nullableArray, nullableString, string, struct } from '../fields.ts';

/** What is set of topics, and of the broker. */

export const describeConfigs = api(32, [0, 4], 4, {
  request: struct({
    resources: array(struct({ resourceType: int8, resourceName: string, configurationKeys: nullableArray(string) })),
    includeSynonyms: bool.from(1).or(false),
    includeDocumentation: bool.from(3).or(false),
  }),
  response: struct({
    throttleTimeMs: int32.or(0),
    results: array(
      struct({
        errorCode: int16,
        errorMessage: nullableString,
        resourceType: int8,
        resourceName: string,
        configs: array(
          struct({
            name: string,
            value: nullableString,
            readOnly: bool,
            isDefault: bool.to(0),
            configSource: int8.from(1).or(-1),
            isSensitive: bool,
            synonyms: array(struct({ name: string, value: nullableString, source: int8 }))
              .from(1)
              .or([]),
            configType: int8.from(3).or(0),
            documentation: nullableString.from(3),
          }),
        ),
      }),
    ),
  }),
});

export const alterConfigs = api(33, [0, 2], 2, {
  request: struct({
    resources: array(
      struct({
        resourceType: int8,
        resourceName: string,
        configs: array(struct({ name: string, value: nullableString })),
      }),
    ),
    validateOnly: bool,
  }),
  response: struct({
    throttleTimeMs: int32.or(0),
    responses: array(
      struct({ errorCode: int16, errorMessage: nullableString, resourceType: int8, resourceName: string }),
    ),
  }),
});

export const incrementalAlterConfigs = api(44, [0, 1], 1, {
  request: struct({
    resources: array(
      struct({
        resourceType: int8,
        resourceName: string,
        configs: array(struct({ name: string, configOperation: int8, value: nullableString })),
      }),
    ),
    validateOnly: bool,
  }),
  response: struct({
    throttleTimeMs: int32.or(0),
    responses: array(
      struct({ errorCode: int16, errorMessage: nullableString, resourceType: int8, resourceName: string }),
    ),
  }),
});
