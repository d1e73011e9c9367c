import { AwsError, invalidValue } from '../errors.ts';
import { isAccount } from '../names.ts';
import type { Caller } from '../service.ts';
import type { SqsInputs } from './inputs.ts';
import type { Managing } from './managing.ts';
import { arnOf } from './queues.ts';

/** What one account can let another do; all else is the owner's. */
const SHARED = [
  '*',
  'ChangeMessageVisibility',
  'DeleteMessage',
  'GetQueueAttributes',
  'GetQueueUrl',
  'ReceiveMessage',
  'SendMessage',
];
const MAX_ACTIONS = 7;

interface Document {
  Version?: string;
  Statement: Labelled[];
}

interface Labelled {
  Sid?: string;
}

/** AddPermission and RemovePermission: they write a statement of the queue's policy, or take it out, by its label. */
export class Permissions {
  readonly #managing: Managing;

  constructor(managing: Managing) {
    this.#managing = managing;
  }

  async addPermission(input: SqsInputs['AddPermission'], caller: Caller): Promise<object> {
    const { QueueUrl, Label, AWSAccountIds, Actions } = input;
    checkLabel(Label);
    if (AWSAccountIds.length === 0) throw new AwsError('MissingParameter', 'The request must contain AWSAccountIds.');
    if (Actions.length === 0) throw new AwsError('MissingParameter', 'The request must contain Actions.');
    if (Actions.length > MAX_ACTIONS)
      throw new AwsError('OverLimit', `${Actions.length} Actions were found, maximum allowed is ${MAX_ACTIONS}.`, 403);
    for (const id of AWSAccountIds) if (!isAccount(id)) throw invalidValue(id, 'PrincipalId', 'Unable to verify.');
    for (const action of Actions)
      if (!SHARED.includes(action))
        throw invalidValue(`SQS:${action}`, 'ActionName', 'Only the queue owner is allowed to invoke this action.');
    return this.#managing.changePolicy(QueueUrl, caller, (text, queue) => {
      const { Statement, ...rest } = documentOf(text);
      if (Statement.some(({ Sid }) => Sid === Label)) throw invalidValue(Label, 'Label', 'Already exists.');
      const statement = {
        Sid: Label,
        Effect: 'Allow',
        Principal: { AWS: AWSAccountIds.map((id) => `arn:aws:iam::${id}:root`) },
        Action: Actions.map((action) => `SQS:${action}`),
        Resource: arnOf(caller, queue),
      };
      return JSON.stringify({ Version: '2012-10-17', ...rest, Statement: [...Statement, statement] });
    });
  }

  async removePermission({ QueueUrl, Label }: SqsInputs['RemovePermission'], caller: Caller): Promise<object> {
    checkLabel(Label);
    return this.#managing.changePolicy(QueueUrl, caller, (text) => {
      const { Statement, ...rest } = documentOf(text);
      const left = Statement.filter(({ Sid }) => Sid !== Label);
      if (left.length === Statement.length) throw invalidValue(Label, 'Label', "can't find label.");
      return left.length === 0 ? '' : JSON.stringify({ ...rest, Statement: left });
    });
  }
}

function checkLabel(label: string): void {
  if (!/^[\w-]{1,80}$/.test(label))
    throw invalidValue(label, 'Label', 'Can only include alphanumeric characters, hyphens, or underscores. 1 to 80.');
}

function documentOf(text: string | undefined): Document {
  if (text === undefined) return { Statement: [] };
  // `SetQueueAttributes` has looked at it.
  const document = JSON.parse(text) as { Statement: Labelled | Labelled[] };
  const { Statement } = document;
  return { ...document, Statement: Array.isArray(Statement) ? Statement : [Statement] };
}
