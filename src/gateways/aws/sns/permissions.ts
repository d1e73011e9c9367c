import { AwsError } from '../errors.ts';
import { isAccount } from '../names.ts';
import type { Caller } from '../service.ts';
import type { SnsInputs } from './inputs.ts';
import { type Topic, topicArn, type Topics } from './topics.ts';

/** What one account can let another do. */
const SHARED: readonly string[] = [
  'AddPermission',
  'DeleteTopic',
  'GetTopicAttributes',
  'ListSubscriptionsByTopic',
  'Publish',
  'Receive',
  'RemovePermission',
  'SetTopicAttributes',
  'Subscribe',
];

interface Labelled {
  Sid?: string;
}

interface Document {
  Statement: Labelled | Labelled[];
}

/** The policy of a topic that was given none, as Amazon shows it: it lets its account do what that may do anyhow. */
export function policyTextOf(caller: Pick<Caller, 'region'>, topic: Topic): string {
  const { account, attributes } = topic;
  const given = attributes.get('Policy') ?? '';
  if (given !== '') return given;
  const Statement = {
    Sid: '__default_statement_ID',
    Effect: 'Allow',
    Principal: { AWS: '*' },
    Action: SHARED.filter((action) => action !== 'Receive').map((action) => `SNS:${action}`),
    Resource: topicArn(caller, topic),
    Condition: { StringEquals: { 'AWS:SourceOwner': account } },
  };
  return JSON.stringify({ Version: '2008-10-17', Id: '__default_policy_ID', Statement: [Statement] });
}

/** AddPermission and RemovePermission: they write a statement of the topic's policy, or take it out, by its label. */
export class Permissions {
  readonly #topics: Topics;

  constructor(topics: Topics) {
    this.#topics = topics;
  }

  async addPermission(input: SnsInputs['AddPermission'], caller: Caller): Promise<object> {
    const { TopicArn, Label, AWSAccountId: accounts, ActionName: actions } = input;
    if (!/^[\w-]{1,80}$/.test(Label)) throw invalid('Label');
    if (accounts.length === 0 || !accounts.every(isAccount)) throw invalid('AWSAccountId');
    if (actions.length === 0 || !actions.every((action) => SHARED.includes(action))) throw invalid('ActionName');
    await this.#change(TopicArn, caller, (statements, arn) => {
      if (statements.some(({ Sid }) => Sid === Label)) throw invalid('Statement already exists');
      const statement = {
        Sid: Label,
        Effect: 'Allow',
        Principal: { AWS: accounts.map((id) => `arn:aws:iam::${id}:root`) },
        Action: actions.map((action) => `SNS:${action}`),
        Resource: arn,
      };
      return [...statements, statement];
    });
    return {};
  }

  async removePermission({ TopicArn, Label }: SnsInputs['RemovePermission'], caller: Caller): Promise<object> {
    await this.#change(TopicArn, caller, (statements) => {
      const left = statements.filter(({ Sid }) => Sid !== Label);
      if (left.length === statements.length) throw invalid('Label Reason: there is no statement of this label');
      return left;
    });
    return {};
  }

  async #change(
    topicName: string,
    caller: Caller,
    change: (statements: readonly Labelled[], arn: string) => readonly Labelled[],
  ): Promise<void> {
    const topic = await this.#topics.topic(caller, topicName, 'configure');
    // What sets it has looked at it.
    const { Statement, ...rest } = JSON.parse(policyTextOf(caller, topic)) as Document;
    const left = change(Array.isArray(Statement) ? Statement : [Statement], topicArn(caller, topic));
    const policy = left.length === 0 ? '' : JSON.stringify({ Version: '2012-10-17', ...rest, Statement: left });
    await this.#topics.putTopic({ ...topic, attributes: new Map([...topic.attributes, ['Policy', policy]]) });
  }
}

function invalid(what: string): AwsError {
  return new AwsError('InvalidParameterException', `Invalid parameter: ${what}`);
}
