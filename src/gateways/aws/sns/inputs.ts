import type { AttributeInput } from '../message.ts';

/** What the actions are given, in the shapes of the model (`model/sns.ts`), as those of SQS are in `sqs/inputs.ts`. */
export interface SnsInputs {
  AddPermission: { TopicArn: string; Label: string; AWSAccountId: string[]; ActionName: string[] };
  ConfirmSubscription: { TopicArn: string; Token: string; AuthenticateOnUnsubscribe?: string };
  CreateTopic: { Name: string; Attributes?: Map<string, string>; Tags?: Tag[]; DataProtectionPolicy?: string };
  DeleteTopic: { TopicArn: string };
  GetSubscriptionAttributes: { SubscriptionArn: string };
  GetTopicAttributes: { TopicArn: string };
  ListSubscriptions: { NextToken?: string };
  ListSubscriptionsByTopic: { TopicArn: string; NextToken?: string };
  ListTagsForResource: { ResourceArn: string };
  ListTopics: { NextToken?: string };
  Publish: { TopicArn?: string; TargetArn?: string; PhoneNumber?: string } & PublishedInput;
  PublishBatch: { TopicArn: string; PublishBatchRequestEntries: ({ Id: string } & PublishedInput)[] };
  RemovePermission: { TopicArn: string; Label: string };
  SetSubscriptionAttributes: { SubscriptionArn: string; AttributeName: string; AttributeValue?: string };
  SetTopicAttributes: { TopicArn: string; AttributeName: string; AttributeValue?: string };
  Subscribe: {
    TopicArn: string;
    Protocol: string;
    Endpoint?: string;
    Attributes?: Map<string, string>;
    ReturnSubscriptionArn?: boolean;
  };
  TagResource: { ResourceArn: string; Tags: Tag[] };
  Unsubscribe: { SubscriptionArn: string };
  UntagResource: { ResourceArn: string; TagKeys: string[] };
}

export interface Tag {
  Key: string;
  Value: string;
}

export interface PublishedInput {
  Message: string;
  Subject?: string;
  MessageStructure?: string;
  MessageAttributes?: Map<string, AttributeInput>;
  MessageDeduplicationId?: string;
  MessageGroupId?: string;
}

export type SnsAction = keyof SnsInputs;
