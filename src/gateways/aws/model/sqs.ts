/**
 * The actions, errors and shapes of Amazon SQS, as its SDK publishes them. Written by scripts/aws-model.ts; read by
 * `parseModel`.
 *
 * ```
 * action NAME INPUT OUTPUT      refused NAME      error NAME CODE STATUS
 * list NAME TYPE ELEMENT        map NAME TYPE KEY-ELEMENT VALUE-ELEMENT
 * structure NAME, then for each member its name (with ! when it must be there), its type, and how a form spells it
 * ```
 */
export const SQS_MODEL = `
action AddPermission AddPermissionRequest -
action CancelMessageMoveTask CancelMessageMoveTaskRequest CancelMessageMoveTaskResult
action ChangeMessageVisibility ChangeMessageVisibilityRequest -
action ChangeMessageVisibilityBatch ChangeMessageVisibilityBatchRequest ChangeMessageVisibilityBatchResult
action CreateQueue CreateQueueRequest CreateQueueResult
action DeleteMessage DeleteMessageRequest -
action DeleteMessageBatch DeleteMessageBatchRequest DeleteMessageBatchResult
action DeleteQueue DeleteQueueRequest -
action GetQueueAttributes GetQueueAttributesRequest GetQueueAttributesResult
action GetQueueUrl GetQueueUrlRequest GetQueueUrlResult
action ListDeadLetterSourceQueues ListDeadLetterSourceQueuesRequest ListDeadLetterSourceQueuesResult
action ListMessageMoveTasks ListMessageMoveTasksRequest ListMessageMoveTasksResult
action ListQueueTags ListQueueTagsRequest ListQueueTagsResult
action ListQueues ListQueuesRequest ListQueuesResult
action PurgeQueue PurgeQueueRequest -
action ReceiveMessage ReceiveMessageRequest ReceiveMessageResult
action RemovePermission RemovePermissionRequest -
action SendMessage SendMessageRequest SendMessageResult
action SendMessageBatch SendMessageBatchRequest SendMessageBatchResult
action SetQueueAttributes SetQueueAttributesRequest -
action StartMessageMoveTask StartMessageMoveTaskRequest StartMessageMoveTaskResult
action TagQueue TagQueueRequest -
action UntagQueue UntagQueueRequest -
error BatchEntryIdsNotDistinct AWS.SimpleQueueService.BatchEntryIdsNotDistinct 400
error BatchRequestTooLong AWS.SimpleQueueService.BatchRequestTooLong 400
error EmptyBatchRequest AWS.SimpleQueueService.EmptyBatchRequest 400
error InvalidAddress InvalidAddress 404
error InvalidAttributeName InvalidAttributeName 400
error InvalidAttributeValue InvalidAttributeValue 400
error InvalidBatchEntryId AWS.SimpleQueueService.InvalidBatchEntryId 400
error InvalidIdFormat InvalidIdFormat 400
error InvalidMessageContents InvalidMessageContents 400
error InvalidSecurity InvalidSecurity 403
error KmsAccessDenied KMS.AccessDeniedException 400
error KmsDisabled KMS.DisabledException 400
error KmsInvalidKeyUsage KMS.InvalidKeyUsageException 400
error KmsInvalidState KMS.InvalidStateException 400
error KmsNotFound KMS.NotFoundException 400
error KmsOptInRequired KMS.OptInRequired 403
error KmsThrottled KMS.ThrottlingException 400
error MessageNotInflight AWS.SimpleQueueService.MessageNotInflight 400
error OverLimit OverLimit 403
error PurgeQueueInProgress AWS.SimpleQueueService.PurgeQueueInProgress 403
error QueueDeletedRecently AWS.SimpleQueueService.QueueDeletedRecently 400
error QueueDoesNotExist AWS.SimpleQueueService.NonExistentQueue 400
error QueueNameExists QueueAlreadyExists 400
error ReceiptHandleIsInvalid ReceiptHandleIsInvalid 404
error RequestThrottled RequestThrottled 403
error ResourceNotFoundException ResourceNotFoundException 404
error TooManyEntriesInBatchRequest AWS.SimpleQueueService.TooManyEntriesInBatchRequest 400
error UnsupportedOperation AWS.SimpleQueueService.UnsupportedOperation 400
list BatchResultErrorEntryList BatchResultErrorEntry member
list BinaryList blob BinaryListValue
list ChangeMessageVisibilityBatchRequestEntryList ChangeMessageVisibilityBatchRequestEntry member
list ChangeMessageVisibilityBatchResultEntryList ChangeMessageVisibilityBatchResultEntry member
list DeleteMessageBatchRequestEntryList DeleteMessageBatchRequestEntry member
list DeleteMessageBatchResultEntryList DeleteMessageBatchResultEntry member
list ListMessageMoveTasksResultEntryList ListMessageMoveTasksResultEntry member
list List_string string member
list MessageList Message member
list SendMessageBatchRequestEntryList SendMessageBatchRequestEntry member
list SendMessageBatchResultEntryList SendMessageBatchResultEntry member
list StringList string StringListValue
map MessageBodyAttributeMap MessageAttributeValue Name Value
map MessageBodySystemAttributeMap MessageSystemAttributeValue Name Value
map MessageSystemAttributeMap string Name Value
map QueueAttributeMap string Name Value
map TagMap string Key Value
structure AddPermissionRequest
  QueueUrl! string
  Label! string
  AWSAccountIds! List_string flat as AWSAccountId
  Actions! List_string flat as ActionName
structure BatchResultErrorEntry
  Id! string
  SenderFault! boolean
  Code! string
  Message string
structure CancelMessageMoveTaskRequest
  TaskHandle! string
structure CancelMessageMoveTaskResult
  ApproximateNumberOfMessagesMoved number
structure ChangeMessageVisibilityBatchRequest
  QueueUrl! string
  Entries! ChangeMessageVisibilityBatchRequestEntryList flat as ChangeMessageVisibilityBatchRequestEntry
structure ChangeMessageVisibilityBatchRequestEntry
  Id! string
  ReceiptHandle! string
  VisibilityTimeout number
structure ChangeMessageVisibilityBatchResult
  Successful! ChangeMessageVisibilityBatchResultEntryList flat as ChangeMessageVisibilityBatchResultEntry
  Failed! BatchResultErrorEntryList flat as BatchResultErrorEntry
structure ChangeMessageVisibilityBatchResultEntry
  Id! string
structure ChangeMessageVisibilityRequest
  QueueUrl! string
  ReceiptHandle! string
  VisibilityTimeout! number
structure CreateQueueRequest
  QueueName! string
  Attributes QueueAttributeMap flat as Attribute
  tags TagMap flat as Tag
structure CreateQueueResult
  QueueUrl string
structure DeleteMessageBatchRequest
  QueueUrl! string
  Entries! DeleteMessageBatchRequestEntryList flat as DeleteMessageBatchRequestEntry
structure DeleteMessageBatchRequestEntry
  Id! string
  ReceiptHandle! string
structure DeleteMessageBatchResult
  Successful! DeleteMessageBatchResultEntryList flat as DeleteMessageBatchResultEntry
  Failed! BatchResultErrorEntryList flat as BatchResultErrorEntry
structure DeleteMessageBatchResultEntry
  Id! string
structure DeleteMessageRequest
  QueueUrl! string
  ReceiptHandle! string
structure DeleteQueueRequest
  QueueUrl! string
structure GetQueueAttributesRequest
  QueueUrl! string
  AttributeNames List_string flat as AttributeName
structure GetQueueAttributesResult
  Attributes QueueAttributeMap flat as Attribute
structure GetQueueUrlRequest
  QueueName! string
  QueueOwnerAWSAccountId string
structure GetQueueUrlResult
  QueueUrl string
structure ListDeadLetterSourceQueuesRequest
  QueueUrl! string
  NextToken string
  MaxResults number
structure ListDeadLetterSourceQueuesResult
  queueUrls! List_string flat as QueueUrl
  NextToken string
structure ListMessageMoveTasksRequest
  SourceArn! string
  MaxResults number
structure ListMessageMoveTasksResult
  Results ListMessageMoveTasksResultEntryList flat as ListMessageMoveTasksResultEntry
structure ListMessageMoveTasksResultEntry
  TaskHandle string
  Status string
  SourceArn string
  DestinationArn string
  MaxNumberOfMessagesPerSecond number
  ApproximateNumberOfMessagesMoved number
  ApproximateNumberOfMessagesToMove number
  FailureReason string
  StartedTimestamp number
structure ListQueueTagsRequest
  QueueUrl! string
structure ListQueueTagsResult
  Tags TagMap flat as Tag
structure ListQueuesRequest
  QueueNamePrefix string
  NextToken string
  MaxResults number
structure ListQueuesResult
  QueueUrls List_string flat as QueueUrl
  NextToken string
structure Message
  MessageId string
  ReceiptHandle string
  MD5OfBody string
  Body string
  Attributes MessageSystemAttributeMap flat as Attribute
  MD5OfMessageAttributes string
  MessageAttributes MessageBodyAttributeMap flat as MessageAttribute
structure MessageAttributeValue
  DataType! string
  StringValue string
  BinaryValue blob
  StringListValues StringList flat as StringListValue
  BinaryListValues BinaryList flat as BinaryListValue
structure MessageSystemAttributeValue
  DataType! string
  StringValue string
  BinaryValue blob
  StringListValues StringList flat as StringListValue
  BinaryListValues BinaryList flat as BinaryListValue
structure PurgeQueueRequest
  QueueUrl! string
structure ReceiveMessageRequest
  QueueUrl! string
  AttributeNames List_string flat as AttributeName
  MessageSystemAttributeNames List_string flat as AttributeName
  MessageAttributeNames List_string flat as MessageAttributeName
  MaxNumberOfMessages number
  VisibilityTimeout number
  WaitTimeSeconds number
  ReceiveRequestAttemptId string
structure ReceiveMessageResult
  Messages MessageList flat as Message
structure RemovePermissionRequest
  QueueUrl! string
  Label! string
structure SendMessageBatchRequest
  QueueUrl! string
  Entries! SendMessageBatchRequestEntryList flat as SendMessageBatchRequestEntry
structure SendMessageBatchRequestEntry
  Id! string
  MessageBody! string
  DelaySeconds number
  MessageAttributes MessageBodyAttributeMap flat as MessageAttribute
  MessageSystemAttributes MessageBodySystemAttributeMap flat as MessageSystemAttribute
  MessageDeduplicationId string
  MessageGroupId string
structure SendMessageBatchResult
  Successful! SendMessageBatchResultEntryList flat as SendMessageBatchResultEntry
  Failed! BatchResultErrorEntryList flat as BatchResultErrorEntry
structure SendMessageBatchResultEntry
  Id! string
  MessageId! string
  MD5OfMessageBody! string
  MD5OfMessageAttributes string
  MD5OfMessageSystemAttributes string
  SequenceNumber string
structure SendMessageRequest
  QueueUrl! string
  MessageBody! string
  DelaySeconds number
  MessageAttributes MessageBodyAttributeMap flat as MessageAttribute
  MessageSystemAttributes MessageBodySystemAttributeMap flat as MessageSystemAttribute
  MessageDeduplicationId string
  MessageGroupId string
structure SendMessageResult
  MD5OfMessageBody string
  MD5OfMessageAttributes string
  MD5OfMessageSystemAttributes string
  MessageId string
  SequenceNumber string
structure SetQueueAttributesRequest
  QueueUrl! string
  Attributes! QueueAttributeMap flat as Attribute
structure StartMessageMoveTaskRequest
  SourceArn! string
  DestinationArn string
  MaxNumberOfMessagesPerSecond number
structure StartMessageMoveTaskResult
  TaskHandle string
structure TagQueueRequest
  QueueUrl! string
  Tags! TagMap flat as Tag
structure UntagQueueRequest
  QueueUrl! string
  TagKeys! List_string flat as TagKey
`;
