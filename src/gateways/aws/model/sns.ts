/**
 * The actions, errors and shapes of Amazon SNS, as its SDK publishes them. Written by scripts/aws-model.ts; read by
 * `parseModel`.
 *
 * ```
 * action NAME INPUT OUTPUT      refused NAME      error NAME CODE STATUS
 * list NAME TYPE ELEMENT        map NAME TYPE KEY-ELEMENT VALUE-ELEMENT
 * structure NAME, then for each member its name (with ! when it must be there), its type, and how a form spells it
 * ```
 */
export const SNS_MODEL = `
action AddPermission AddPermissionInput -
action ConfirmSubscription ConfirmSubscriptionInput ConfirmSubscriptionResponse
action CreateTopic CreateTopicInput CreateTopicResponse
action DeleteTopic DeleteTopicInput -
action GetSubscriptionAttributes GetSubscriptionAttributesInput GetSubscriptionAttributesResponse
action GetTopicAttributes GetTopicAttributesInput GetTopicAttributesResponse
action ListSubscriptions ListSubscriptionsInput ListSubscriptionsResponse
action ListSubscriptionsByTopic ListSubscriptionsByTopicInput ListSubscriptionsByTopicResponse
action ListTagsForResource ListTagsForResourceRequest ListTagsForResourceResponse
action ListTopics ListTopicsInput ListTopicsResponse
action Publish PublishInput PublishResponse
action PublishBatch PublishBatchInput PublishBatchResponse
action RemovePermission RemovePermissionInput -
action SetSubscriptionAttributes SetSubscriptionAttributesInput -
action SetTopicAttributes SetTopicAttributesInput -
action Subscribe SubscribeInput SubscribeResponse
action TagResource TagResourceRequest TagResourceResponse
action Unsubscribe UnsubscribeInput -
action UntagResource UntagResourceRequest UntagResourceResponse
refused CheckIfPhoneNumberIsOptedOut
refused CreatePlatformApplication
refused CreatePlatformEndpoint
refused CreateSMSSandboxPhoneNumber
refused DeleteEndpoint
refused DeletePlatformApplication
refused DeleteSMSSandboxPhoneNumber
refused GetDataProtectionPolicy
refused GetEndpointAttributes
refused GetPlatformApplicationAttributes
refused GetSMSAttributes
refused GetSMSSandboxAccountStatus
refused ListEndpointsByPlatformApplication
refused ListOriginationNumbers
refused ListPhoneNumbersOptedOut
refused ListPlatformApplications
refused ListSMSSandboxPhoneNumbers
refused OptInPhoneNumber
refused PutDataProtectionPolicy
refused SetEndpointAttributes
refused SetPlatformApplicationAttributes
refused SetSMSAttributes
refused VerifySMSSandboxPhoneNumber
error AuthorizationErrorException AuthorizationError 403
error BatchEntryIdsNotDistinctException BatchEntryIdsNotDistinct 400
error BatchRequestTooLongException BatchRequestTooLong 400
error ConcurrentAccessException ConcurrentAccess 400
error EmptyBatchRequestException EmptyBatchRequest 400
error EndpointDisabledException EndpointDisabled 400
error FilterPolicyLimitExceededException FilterPolicyLimitExceeded 403
error InternalErrorException InternalError 500
error InvalidBatchEntryIdException InvalidBatchEntryId 400
error InvalidParameterException InvalidParameter 400
error InvalidParameterValueException ParameterValueInvalid 400
error InvalidSecurityException InvalidSecurity 403
error InvalidStateException InvalidState 400
error KMSAccessDeniedException KMSAccessDenied 400
error KMSDisabledException KMSDisabled 400
error KMSInvalidStateException KMSInvalidState 400
error KMSNotFoundException KMSNotFound 400
error KMSOptInRequired KMSOptInRequired 403
error KMSThrottlingException KMSThrottling 400
error NotFoundException NotFound 404
error OptedOutException OptedOut 400
error PlatformApplicationDisabledException PlatformApplicationDisabled 400
error ReplayLimitExceededException ReplayLimitExceeded 403
error ResourceNotFoundException ResourceNotFound 404
error StaleTagException StaleTag 400
error SubscriptionLimitExceededException SubscriptionLimitExceeded 403
error TagLimitExceededException TagLimitExceeded 400
error TagPolicyException TagPolicy 400
error ThrottledException Throttled 429
error TooManyEntriesInBatchRequestException TooManyEntriesInBatchRequest 400
error TopicLimitExceededException TopicLimitExceeded 403
error UserErrorException UserError 400
error ValidationException ValidationException 400
error VerificationException VerificationException 400
list BatchResultErrorEntryList BatchResultErrorEntry member
list List_string string member
list PublishBatchRequestEntryList PublishBatchRequestEntry member
list PublishBatchResultEntryList PublishBatchResultEntry member
list SubscriptionsList Subscription member
list TagList Tag member
list TopicsList Topic member
map Map_string string key value
map MessageAttributeMap MessageAttributeValue Name Value
structure AddPermissionInput
  TopicArn! string
  Label! string
  AWSAccountId! List_string
  ActionName! List_string
structure BatchResultErrorEntry
  Id! string
  Code! string
  SenderFault! boolean
  Message string
structure ConfirmSubscriptionInput
  TopicArn! string
  Token! string
  AuthenticateOnUnsubscribe string
structure ConfirmSubscriptionResponse
  SubscriptionArn string
structure CreateTopicInput
  Name! string
  Attributes Map_string
  Tags TagList
  DataProtectionPolicy string
structure CreateTopicResponse
  TopicArn string
structure DeleteTopicInput
  TopicArn! string
structure GetSubscriptionAttributesInput
  SubscriptionArn! string
structure GetSubscriptionAttributesResponse
  Attributes Map_string
structure GetTopicAttributesInput
  TopicArn! string
structure GetTopicAttributesResponse
  Attributes Map_string
structure ListSubscriptionsByTopicInput
  TopicArn! string
  NextToken string
structure ListSubscriptionsByTopicResponse
  Subscriptions SubscriptionsList
  NextToken string
structure ListSubscriptionsInput
  NextToken string
structure ListSubscriptionsResponse
  Subscriptions SubscriptionsList
  NextToken string
structure ListTagsForResourceRequest
  ResourceArn! string
structure ListTagsForResourceResponse
  Tags TagList
structure ListTopicsInput
  NextToken string
structure ListTopicsResponse
  Topics TopicsList
  NextToken string
structure MessageAttributeValue
  DataType! string
  StringValue string
  BinaryValue blob
structure PublishBatchInput
  TopicArn! string
  PublishBatchRequestEntries! PublishBatchRequestEntryList
structure PublishBatchRequestEntry
  Id! string
  Message! string
  Subject string
  MessageStructure string
  MessageAttributes MessageAttributeMap
  MessageDeduplicationId string
  MessageGroupId string
structure PublishBatchResponse
  Successful PublishBatchResultEntryList
  Failed BatchResultErrorEntryList
structure PublishBatchResultEntry
  Id string
  MessageId string
  SequenceNumber string
structure PublishInput
  Message! string
  TopicArn string
  TargetArn string
  PhoneNumber string
  Subject string
  MessageStructure string
  MessageAttributes MessageAttributeMap
  MessageDeduplicationId string
  MessageGroupId string
structure PublishResponse
  MessageId string
  SequenceNumber string
structure RemovePermissionInput
  TopicArn! string
  Label! string
structure SetSubscriptionAttributesInput
  SubscriptionArn! string
  AttributeName! string
  AttributeValue string
structure SetTopicAttributesInput
  TopicArn! string
  AttributeName! string
  AttributeValue string
structure SubscribeInput
  TopicArn! string
  Protocol! string
  Endpoint string
  Attributes Map_string
  ReturnSubscriptionArn boolean
structure SubscribeResponse
  SubscriptionArn string
structure Subscription
  SubscriptionArn string
  Owner string
  Protocol string
  Endpoint string
  TopicArn string
structure Tag
  Key! string
  Value! string
structure TagResourceRequest
  ResourceArn! string
  Tags! TagList
structure TagResourceResponse
structure Topic
  TopicArn string
structure UnsubscribeInput
  SubscriptionArn! string
structure UntagResourceRequest
  ResourceArn! string
  TagKeys! List_string
structure UntagResourceResponse
`;
