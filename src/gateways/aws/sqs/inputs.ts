import type { AttributeInput } from '../message.ts';

/**
 * What the actions are given, in the shapes of the model (`model/sqs.ts`), which was checked against before they are
 * called: structures have these members, maps are `Map`s, blobs are bytes.
 */
export interface SqsInputs {
  AddPermission: { QueueUrl: string; Label: string; AWSAccountIds: string[]; Actions: string[] };
  CancelMessageMoveTask: { TaskHandle: string };
  ChangeMessageVisibility: { QueueUrl: string; ReceiptHandle: string; VisibilityTimeout: number };
  ChangeMessageVisibilityBatch: {
    QueueUrl: string;
    Entries: { Id: string; ReceiptHandle: string; VisibilityTimeout?: number }[];
  };
  CreateQueue: { QueueName: string; Attributes?: Map<string, string>; tags?: Map<string, string> };
  DeleteMessage: { QueueUrl: string; ReceiptHandle: string };
  DeleteMessageBatch: { QueueUrl: string; Entries: { Id: string; ReceiptHandle: string }[] };
  DeleteQueue: { QueueUrl: string };
  GetQueueAttributes: { QueueUrl: string; AttributeNames?: string[] };
  GetQueueUrl: { QueueName: string; QueueOwnerAWSAccountId?: string };
  ListDeadLetterSourceQueues: { QueueUrl: string; NextToken?: string; MaxResults?: number };
  ListMessageMoveTasks: { SourceArn: string; MaxResults?: number };
  ListQueueTags: { QueueUrl: string };
  ListQueues: { QueueNamePrefix?: string; NextToken?: string; MaxResults?: number };
  PurgeQueue: { QueueUrl: string };
  ReceiveMessage: {
    QueueUrl: string;
    AttributeNames?: string[];
    MessageSystemAttributeNames?: string[];
    MessageAttributeNames?: string[];
    MaxNumberOfMessages?: number;
    VisibilityTimeout?: number;
    WaitTimeSeconds?: number;
    ReceiveRequestAttemptId?: string;
  };
  RemovePermission: { QueueUrl: string; Label: string };
  SendMessage: { QueueUrl: string } & MessageInput;
  SendMessageBatch: { QueueUrl: string; Entries: ({ Id: string } & MessageInput)[] };
  SetQueueAttributes: { QueueUrl: string; Attributes: Map<string, string> };
  StartMessageMoveTask: { SourceArn: string; DestinationArn?: string; MaxNumberOfMessagesPerSecond?: number };
  TagQueue: { QueueUrl: string; Tags: Map<string, string> };
  UntagQueue: { QueueUrl: string; TagKeys: string[] };
}

export interface MessageInput {
  MessageBody: string;
  DelaySeconds?: number;
  MessageAttributes?: Map<string, AttributeInput>;
  MessageSystemAttributes?: Map<string, AttributeInput>;
  MessageDeduplicationId?: string;
  MessageGroupId?: string;
}

export type SqsAction = keyof SqsInputs;
