import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AttributeInput } from '../message.ts';
import { compileFilter } from './filter.ts';
import { FilterView, publishedOf } from './message.ts';
import type { Topic } from './topics.ts';

const TOPIC: Topic = { account: '000000000000', name: 'news', fifo: false, attributes: new Map(), tags: new Map() };
const FIFO: Topic = { ...TOPIC, name: 'news.fifo', fifo: true };

function wants(policy: object, MessageAttributes: Map<string, AttributeInput>): boolean {
  const message = publishedOf({ Message: 'a', MessageAttributes }, TOPIC);
  return compileFilter(JSON.stringify(policy), 'MessageAttributes')(new FilterView(message).of('MessageAttributes'));
}

test('a filter sees numbers, texts and each element of a list, and no bytes', () => {
  const attributes = new Map<string, AttributeInput>([
    ['number', { DataType: 'Number.int', StringValue: '7' }],
    ['text', { DataType: 'String', StringValue: '7' }],
    ['list', { DataType: 'String.Array', StringValue: '["a", 3, true, null]' }],
    ['bytes', { DataType: 'Binary', BinaryValue: Buffer.from('7') }],
  ]);
  assert.ok(wants({ number: [{ numeric: ['=', 7] }] }, attributes));
  assert.ok(!wants({ text: [{ numeric: ['=', 7] }] }, attributes));
  assert.ok(wants({ text: ['7'] }, attributes));
  for (const element of ['a', 3, true, null]) assert.ok(wants({ list: [element] }, attributes));
  // As if it were not there.
  assert.ok(wants({ bytes: [{ exists: false }] }, attributes));
  for (const condition of ['7', { exists: true }, { 'anything-but': 'a' }, { prefix: '' }])
    assert.ok(!wants({ bytes: [condition] }, attributes), JSON.stringify(condition));
});

test('a message of a FIFO topic has the id of the one that it repeats, and no other has', () => {
  const idOf = (topic: Topic, MessageGroupId: string, MessageDeduplicationId: string): string =>
    publishedOf({ Message: 'a', MessageGroupId, MessageDeduplicationId }, topic).id;
  assert.equal(idOf(FIFO, 'g', 'd'), idOf(FIFO, 'h', 'd'));
  assert.notEqual(idOf(FIFO, 'g', 'd'), idOf(FIFO, 'g', 'e'));
  const byGroup: Topic = { ...FIFO, attributes: new Map([['FifoThroughputScope', 'MessageGroup']]) };
  assert.equal(idOf(byGroup, 'g', 'd'), idOf(byGroup, 'g', 'd'));
  assert.notEqual(idOf(byGroup, 'g', 'd'), idOf(byGroup, 'h', 'd'));
});
