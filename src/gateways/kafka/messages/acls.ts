import { api, array, int16, int32, int8, nullableString, string, struct } from '../fields.ts';

/** Who may do what. */

const LITERAL = 3;

const filter = {
  resourceTypeFilter: int8,
  resourceNameFilter: nullableString,
  patternTypeFilter: int8.from(1).or(LITERAL),
  principalFilter: nullableString,
  hostFilter: nullableString,
  operation: int8,
  permissionType: int8,
};

export const describeAcls = api(29, [0, 3], 2, {
  request: struct(filter),
  response: struct({
    throttleTimeMs: int32.or(0),
    errorCode: int16,
    errorMessage: nullableString,
    resources: array(
      struct({
        resourceType: int8,
        resourceName: string,
        patternType: int8.from(1).or(LITERAL),
        acls: array(struct({ principal: string, host: string, operation: int8, permissionType: int8 })),
      }),
    ),
  }),
});

export const createAcls = api(30, [0, 3], 2, {
  request: struct({
    creations: array(
      struct({
        resourceType: int8,
        resourceName: string,
        resourcePatternType: int8.from(1).or(LITERAL),
        principal: string,
        host: string,
        operation: int8,
        permissionType: int8,
      }),
    ),
  }),
  response: struct({
    throttleTimeMs: int32.or(0),
    results: array(struct({ errorCode: int16, errorMessage: nullableString })),
  }),
});

export const deleteAcls = api(31, [0, 3], 2, {
  request: struct({ filters: array(struct(filter)) }),
  response: struct({
    throttleTimeMs: int32.or(0),
    filterResults: array(
      struct({
        errorCode: int16,
        errorMessage: nullableString,
        matchingAcls: array(
          struct({
            errorCode: int16,
            errorMessage: nullableString,
            resourceType: int8,
            resourceName: string,
            patternType: int8.from(1).or(LITERAL),
            principal: string,
            host: string,
            operation: int8,
            permissionType: int8,
          }),
        ),
      }),
    ),
  }),
});
