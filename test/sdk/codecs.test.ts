import assert from 'node:assert/strict';
import { test } from 'node:test';
import avsc from 'avsc';
import protobufjs from 'protobufjs';
import { avro, defineQueue, protobuf } from '../../src/index.ts';
import { testBroker } from '../../src/testing/index.ts';

interface Order {
  id: string;
  items: number[];
}

const order: Order = { id: 'o-1', items: [3, 150, 70_000] };

test('bodies of a message type of protobufjs reach the worker, and what does not fit is refused at the sender', async () => {
  await using broker = await testBroker();
  const { root } = protobufjs.parse('syntax = "proto3"; message Order { string id = 1; repeated int32 items = 2; }');
  const type = root.lookupType('Order');
  const orders = broker.rail.queue(
    defineQueue('orders', {
      // The library's own type says nothing of the fields, which the text above has.
      codec: protobuf<Order>({
        encode: (message) => type.encode(message),
        // The message type says so, not the compiler.
        decode: (bytes) => type.toObject(type.decode(bytes)) as Order,
        verify: (message) => type.verify(message),
      }),
    }),
  );
  await orders.send(order);
  // @ts-expect-error: the text is a number here
  await assert.rejects(orders.send({ id: 7, items: [] }), /id: string expected/);
  const [message] = await orders.fetch();
  assert.deepEqual([message?.contentType, message?.body], ['application/x-protobuf', order]);
  const generic = broker.rail.queue(defineQueue('generic', { codec: protobuf(type) }));
  await generic.send(type.create({ ...order }));
  assert.deepEqual(JSON.parse(JSON.stringify((await generic.fetch())[0]?.body)), order);
});

test('bodies of a type of avsc reach the worker, and what does not fit is refused at the sender', async () => {
  await using broker = await testBroker();
  const type = avsc.Type.forSchema({
    type: 'record',
    name: 'Order',
    fields: [
      { name: 'id', type: 'string' },
      { name: 'items', type: { type: 'array', items: 'int' } },
    ],
  });
  const orders = broker.rail.queue(defineQueue('orders', { codec: avro<Order>(type) }));
  await orders.send(order);
  const [message] = await orders.fetch();
  assert.deepEqual(
    [message?.contentType, message?.body instanceof Object && { ...message.body }],
    ['avro/binary', order],
  );
  // @ts-expect-error: the items are missing
  await assert.rejects(orders.send({ id: 'o-2' }));
});
