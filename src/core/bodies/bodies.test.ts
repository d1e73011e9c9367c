/** Bodies as people read them, encoded by the libraries that applications use: avsc and protobufjs. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deflateRawSync } from 'node:zlib';
import avsc from 'avsc';
import protobufjs from 'protobufjs';
import { SeededRandom } from '../random.ts';
import { decodeBody } from './decode.ts';
import { compileSchema, type SchemaText } from './schema.ts';

const ORDER = {
  type: 'record',
  name: 'Order',
  namespace: 'shop',
  fields: [
    { name: 'id', type: 'string' },
    { name: 'total', type: 'long' },
    { name: 'weight', type: 'double' },
    { name: 'ratio', type: 'float' },
    { name: 'paid', type: { type: 'boolean' } },
    { name: 'note', type: ['null', 'string'], default: null },
    { name: 'state', type: { type: 'enum', name: 'State', symbols: ['NEW', 'SENT'] } },
    { name: 'before', type: 'State' },
    { name: 'hash', type: { type: 'fixed', name: 'Hash', size: 2 } },
    { name: 'raw', type: 'bytes' },
    {
      name: 'items',
      type: { type: 'array', items: { type: 'record', name: 'Item', fields: [{ name: 'sku', type: 'string' }] } },
    },
    { name: 'first', type: ['null', 'shop.Item'] },
    { name: 'tags', type: { type: 'map', values: 'int' } },
  ],
};

const VALUE = {
  id: 'o-1',
  total: -4_003_199_254_740_991,
  weight: 1.5,
  ratio: 0.25,
  paid: true,
  note: 'näh',
  state: 'SENT',
  before: 'NEW',
  hash: Buffer.from([1, 255]),
  raw: Buffer.from([0, 128]),
  items: [{ sku: 'a' }, { sku: 'b' }],
  first: { sku: 'c' },
  tags: { x: 1, y: -2 },
};

const SHOWN = { ...VALUE, hash: '01ff', raw: '0080' };

function shown(text: SchemaText | undefined, body: Uint8Array, contentType?: string): [as: string, value: unknown] {
  const schema = text === undefined ? undefined : compileSchema(text);
  const decoded = decodeBody({ body, ...(contentType !== undefined && { contentType }) }, schema);
  assert.ok(decoded !== undefined, 'it was not decoded');
  return [decoded.as, decoded.text === undefined ? undefined : JSON.parse(decoded.text)];
}

const avro = avsc.Type.forSchema(ORDER as avsc.Schema, { wrapUnions: false });

test('Avro is read by its schema: every type, names with and without their namespace', () => {
  const body = avro.toBuffer(VALUE);
  assert.deepEqual(shown({ avro: ORDER }, body), ['Avro shop.Order', SHOWN]);
  // As serializers send it: with the id of a schema in a registry, and as a single object.
  assert.deepEqual(shown({ avro: ORDER }, Buffer.concat([Buffer.from([0, 0, 0, 1, 2]), body]))[1], SHOWN);
  const single = Buffer.concat([Buffer.from([0xc3, 1, 1, 2, 3, 4, 5, 6, 7, 8]), body]);
  assert.deepEqual(shown({ avro: ORDER }, single)[1], SHOWN);
});

test('a long of Avro keeps its digits, and a record may hold itself', () => {
  const list = {
    type: 'record',
    name: 'Node',
    fields: [
      { name: 'n', type: 'long' },
      { name: 'next', type: ['null', 'Node'] },
    ],
  };
  const schema = compileSchema({ avro: list });
  // 2^63 - 1, then -1, then the end.
  const body = Buffer.from('feffffffffffffffff01020100', 'hex');
  assert.equal(
    decodeBody({ body }, schema)?.text?.replaceAll(/\s+/g, ''),
    '{"n":9223372036854775807,"next":{"n":-1,"next":null}}',
  );
});

test('blocks of Avro may say their size in bytes, and nothing may be left over', () => {
  const read = (hex: string, schema: unknown) =>
    decodeBody({ body: Buffer.from(hex, 'hex'), contentType: 'avro/binary' }, compileSchema({ avro: schema }));
  // -2 items in 2 bytes, another block of one, the end.
  const blocks = '03040204020600';
  assert.equal(read(blocks, { type: 'array', items: 'int' })?.text?.replaceAll(/\s+/g, ''), '[1,2,3]');
  assert.equal(read('010602410200', { type: 'map', values: 'int' })?.text?.replaceAll(/\s+/g, ''), '{"A":1}');
  assert.equal(read('0202', 'int')?.as, 'bytes: it does not fit Avro int');
});

test('a file of Avro is read by the schema that it carries, compressed or not', async () => {
  const type = avsc.Type.forSchema({ type: 'record', name: 'User', fields: [{ name: 'name', type: 'string' }] });
  for (const codec of ['null', 'deflate'] as const) {
    const encoder = new avsc.streams.BlockEncoder(type, { codec });
    const pieces: Buffer[] = [];
    encoder.on('data', (piece: Buffer) => pieces.push(piece));
    const over = new Promise((resolve) => encoder.on('end', resolve));
    for (const name of ['ann', 'bob']) encoder.write({ name });
    encoder.end();
    await over;
    const decoded = decodeBody({ body: Buffer.concat(pieces) });
    assert.equal(decoded?.as, 'Avro file');
    assert.match(decoded.text ?? '', /^\{\n {2}"name": "ann"\n\}\n\{\n {2}"name": "bob"\n\}\n\nschema \{/, codec);
  }
});

const PROTO = `
syntax = "proto3"; // a comment
package shop.v1;
import "google/protobuf/timestamp.proto";
option java_package = "com.shop"; /* and
another */
message Order {
  string id = 1 [deprecated = true, json_name = "ID"];
  int64 total = 2; double weight = 3; float ratio = 4; bool paid = 5;
  optional string note = 6;
  enum State { option allow_alias = true; UNKNOWN = 0; SENT = 1; SHIPPED = 1; }
  State state = 7;
  repeated Item items = 8;
  map<string, int32> counts = 9;
  map<int64, Item> by_id = 10;
  oneof how { string card = 11; .shop.v1.Order.Item cash = 12; }
  repeated sint32 deltas = 13;
  repeated string names = 14;
  fixed32 a = 15; sfixed64 b = 16; uint64 big = 17; int32 minus = 18; bytes raw = 19;
  google.protobuf.Timestamp at = 20;
  reserved 30, 40 to 50; reserved "old";
  message Item { string sku = 1; Order parent = 2; repeated State states = 3; }
}
message Other { Order.Item item = 1; }
service Shop { rpc Buy (Order) returns (Other) { option idempotency_level = IDEMPOTENT; } }
`;

const { root } = protobufjs.parse(
  PROTO.replace(/import.*\n/, '')
    .replace('google.protobuf.Timestamp', 'At')
    .replace('message Other', 'message At { int64 seconds = 1; int32 nanos = 2; } message Other'),
  { keepCase: true },
);
const proto = root.lookupType('shop.v1.Order');

const MESSAGE = {
  id: 'o-1',
  total: 12,
  weight: 1.5,
  ratio: 0.25,
  paid: true,
  note: 'näh',
  state: 1,
  items: [{ sku: 'a', states: [1, 0] }, { sku: 'b' }],
  counts: { x: 1, y: -2 },
  by_id: { 7: { sku: 'z' } },
  card: '4111',
  deltas: [1, -1, 70_000],
  names: ['x', ''],
  a: 7,
  b: -8,
  big: 9,
  minus: -1,
  raw: Buffer.from([0, 128]),
  at: { seconds: 1_700_000_000, nanos: 5 },
};

const READ = {
  ...MESSAGE,
  state: 'SENT',
  items: [{ sku: 'a', states: ['SENT', 'UNKNOWN'] }, { sku: 'b' }],
  raw: '0080',
};

test('Protobuf is read by a .proto file: every type, packed or not, maps, enums, what is nested and what is imported', () => {
  const body = proto.encode(proto.fromObject(MESSAGE)).finish();
  const schema = { protobuf: PROTO, message: 'shop.v1.Order' };
  assert.deepEqual(shown(schema, body), ['Protobuf shop.v1.Order', READ]);
  // As serializers send it: the id of a schema in a registry, and the place of the type in it.
  for (const place of [[0], [2, 0], [4, 2, 0]])
    assert.deepEqual(shown(schema, Buffer.concat([Buffer.from([0, 0, 0, 1, 2, ...place]), body]))[1], READ);
  // A field of a newer version, and a number that the enum does not have.
  const newer = Buffer.concat([body, Buffer.from('3809a206026869', 'hex')]);
  assert.deepEqual(shown(schema, newer)[1], { ...READ, state: 9, 100: 'hi' });
});

test('Protobuf is read by a set of descriptors as by the file that it was made of', () => {
  const descriptors = Buffer.from(DESCRIPTORS, 'base64');
  const body = proto.encode(proto.fromObject({ ...MESSAGE, at: undefined })).finish();
  const { at: _, ...read } = READ;
  const schema = { descriptors: descriptors.toString('base64'), message: 'shop.v1.Order' };
  assert.deepEqual(shown(schema, body), ['Protobuf shop.v1.Order', read]);
});

/** What `protoc --descriptor_set_out` writes of the file above, made here with protobufjs's own description of it. */
const DESCRIPTORS = descriptorSet();

function descriptorSet(): string {
  const { root: own } = protobufjs.parse(
    `syntax = "proto2";
    message Set { repeated File file = 1; }
    message File { optional string name = 1; optional string package = 2; repeated Msg message_type = 4; }
    message Msg { optional string name = 1; repeated Fld field = 2; repeated Msg nested_type = 3; repeated Enm enum_type = 4;
      optional Opt options = 7; }
    message Opt { optional bool map_entry = 7; }
    message Fld { optional string name = 1; optional int32 number = 3; optional int32 label = 4; optional int32 type = 5;
      optional string type_name = 6; }
    message Enm { optional string name = 1; repeated Val value = 2; }
    message Val { optional string name = 1; optional int32 number = 2; }`,
    { keepCase: true },
  );
  const field = (name: string, number: number, type: number, more: object = {}): object => ({
    name,
    number,
    label: 1,
    type,
    ...more,
  });
  const item = '.shop.v1.Order.Item';
  const state = { type_name: '.shop.v1.Order.State' };
  const entry = (name: string, key: number, value: object): object => ({
    name,
    options: { map_entry: true },
    field: [field('key', 1, key), value],
  });
  const set = {
    file: [
      {
        name: 'shop.proto',
        package: 'shop.v1',
        message_type: [
          {
            name: 'Order',
            field: [
              field('id', 1, 9),
              field('total', 2, 3),
              field('weight', 3, 1),
              field('ratio', 4, 2),
              field('paid', 5, 8),
              field('note', 6, 9),
              field('state', 7, 14, state),
              field('items', 8, 11, { label: 3, type_name: item }),
              field('counts', 9, 11, { label: 3, type_name: '.shop.v1.Order.CountsEntry' }),
              field('by_id', 10, 11, { label: 3, type_name: '.shop.v1.Order.ByIdEntry' }),
              field('card', 11, 9),
              field('cash', 12, 11, { type_name: item }),
              field('deltas', 13, 17, { label: 3 }),
              field('names', 14, 9, { label: 3 }),
              field('a', 15, 7),
              field('b', 16, 16),
              field('big', 17, 4),
              field('minus', 18, 5),
              field('raw', 19, 12),
            ],
            nested_type: [
              {
                name: 'Item',
                field: [
                  field('sku', 1, 9),
                  field('parent', 2, 11, { type_name: '.shop.v1.Order' }),
                  field('states', 3, 14, { label: 3, ...state }),
                ],
              },
              entry('CountsEntry', 9, field('value', 2, 5)),
              entry('ByIdEntry', 3, field('value', 2, 11, { type_name: item })),
            ],
            enum_type: [
              {
                name: 'State',
                value: [
                  { name: 'UNKNOWN', number: 0 },
                  { name: 'SENT', number: 1 },
                ],
              },
            ],
          },
        ],
      },
    ],
  };
  const type = own.lookupType('Set');
  return Buffer.from(type.encode(type.fromObject(set)).finish()).toString('base64');
}

test('groups of proto2 are read', () => {
  const text = 'message A { repeated group Part = 1 { optional int32 n = 2; } required string s = 3; }';
  const body = Buffer.from('0b10010c0b10020c1a0178', 'hex');
  assert.deepEqual(shown({ protobuf: text }, body), ['Protobuf A', { Part: [{ n: 1 }, { n: 2 }], s: 'x' }]);
});

test('without a schema Protobuf is read by the numbers of its fields, and says so', () => {
  const body = Buffer.from('089601120774657374696e671a0308960108970122020801', 'hex');
  const read = { 1: [150, 151], 2: 'testing', 3: { 1: 150 }, 4: { 1: 1 } };
  assert.deepEqual(shown(undefined, body, 'application/x-protobuf'), ['Protobuf, without its names', read]);
  assert.deepEqual(shown(undefined, body), ['maybe Protobuf, without its names', read]);
});

test('a body with the id of a schema is shown with that id, and read as far as the schema is not needed', () => {
  const head = Buffer.from([0, 0, 0, 0, 42]);
  const json = Buffer.concat([head, Buffer.from('{"a":1}')]);
  assert.deepEqual(shown(undefined, json), ['JSON, schema 42 of a registry', { a: 1 }]);
  const protobuf = Buffer.concat([head, Buffer.from('00089601', 'hex')]);
  assert.deepEqual(shown(undefined, protobuf), ['maybe Protobuf, schema 42 of a registry', { 1: 150 }]);
  const unknown = Buffer.concat([head, Buffer.from('0661626302', 'hex')]);
  assert.deepEqual(shown(undefined, unknown), ['maybe Avro, schema 42 of a registry', undefined]);
});

test('what is JSON or text stays so, and what does not fit its schema is told', () => {
  const schema = compileSchema({ avro: ORDER });
  const of = (text: string, contentType?: string) =>
    decodeBody({ body: Buffer.from(text), ...(contentType !== undefined && { contentType }) }, schema);
  assert.equal(of('{"a":1}'), undefined);
  assert.equal(of('hello', 'text/plain'), undefined);
  assert.equal(of(''), undefined);
  assert.deepEqual(of('hello', 'avro/binary'), { as: 'text: it does not fit Avro shop.Order' });
  assert.equal(
    decodeBody({ body: Buffer.from('ff00ff', 'hex') }, schema)?.as,
    'bytes: it does not fit Avro shop.Order',
  );
  assert.equal(decodeBody({ body: Buffer.from('ff00ff', 'hex') }), undefined);
  // One digit is JSON too; a content type decides.
  assert.equal(
    decodeBody({ body: Buffer.from('2'), contentType: 'avro/binary' }, compileSchema({ avro: 'int' }))?.text,
    '25',
  );
});

const WRONG: [schema: SchemaText, says: RegExp][] = [
  [{}, /one of `avro`, `protobuf` and `descriptors`/],
  [{ avro: 'int', protobuf: 'message A {}' }, /Give one of them/],
  [{ avro: 'int', message: 'A' }, /Leave it out of a schema of Avro/],
  [{ avro: 'Nobody' }, /"Nobody" is not defined/],
  [{ avro: { type: 'record', name: 'A' } }, /record A has no list of fields/],
  [{ avro: { type: 'record', fields: [] } }, /a record has no name/],
  [{ avro: { type: 'enum', name: 'E', symbols: 'x' } }, /an enum has no list/],
  [{ avro: { type: 'fixed', name: 'F', size: -1 } }, /size of a fixed is -1/],
  [{ avro: nested(40) }, /nested deeper than 32/],
  [{ protobuf: 'message A {' }, /line 1: it ends in the middle|it ends/],
  [{ protobuf: '\n\nmessage A { string = 1; }' }, /line 3: "=" is no name/],
  [{ protobuf: 'message A { string a = x; }' }, /"x" is no number/],
  [{ protobuf: 'message A { B b = 1; }' }, /The type "B" is not in the schema.*--include_imports/],
  [{ protobuf: 'message A {} message B {}' }, /Which message type the bodies are.*A, B/],
  [{ protobuf: 'message A {}', message: 'C' }, /There is no message type "C".*: A/],
  [{ protobuf: '' }, /It has none/],
  [{ protobuf: `${'message A {'.repeat(40)}${'}'.repeat(40)}` }, /nested deeper than 32/],
  [{ descriptors: Buffer.from('hello').toString('base64') }, /not a FileDescriptorSet/],
];

function nested(times: number): unknown {
  return times === 0 ? 'int' : { type: 'array', items: nested(times - 1) };
}

test('a schema that is none is refused in words', () => {
  for (const [schema, says] of WRONG)
    assert.throws(() => compileSchema(schema), { code: 'INVALID', message: says }, JSON.stringify(schema));
});

test('bytes that stand for millions of values, or for endless depth, are refused after some thousand', () => {
  const nothing = { type: 'record', name: 'Nothing', fields: [] };
  const bomb = compileSchema({ avro: { type: 'array', items: nothing } });
  // 2^62 records without a byte.
  const started = process.threadCpuUsage();
  const body = Buffer.from('8080808080808080800100', 'hex');
  assert.equal(decodeBody({ body, contentType: 'avro/binary' }, bomb)?.as, 'bytes: it does not fit Avro array');
  const loop = { type: 'record', name: 'Loop', fields: [{ name: 'next', type: ['null', 'Loop'] }] };
  const deep = Buffer.alloc(5_000, 2);
  assert.match(decodeBody({ body: deep }, compileSchema({ avro: loop }))?.as ?? '', /does not fit Avro Loop$/);
  let inner = Buffer.from([8, 1]);
  for (let depth = 0; depth < 500; depth++)
    inner = Buffer.concat([Buffer.from([10, 0x80 | (inner.byteLength & 0x7f), inner.byteLength >> 7]), inner]);
  const self = compileSchema({ protobuf: 'message A { A a = 1; int32 n = 1000; }' });
  assert.match(decodeBody({ body: inner }, self)?.as ?? '', /it does not fit Protobuf A$/);
  const bombed = deflateRawSync(Buffer.alloc(50 << 20));
  const file = avroFile('deflate', '"bytes"', bombed);
  assert.deepEqual(decodeBody({ body: file }), { as: 'Avro file' });
  const { user } = process.threadCpuUsage(started);
  assert.ok(user < 2_000_000, `${user} µs`);
});

function avroFile(codec: string, schema: string, block: Buffer): Buffer {
  const long = (value: number): Buffer => avsc.Type.forSchema('long').toBuffer(value);
  const text = (value: string | Buffer): Buffer => Buffer.concat([long(Buffer.byteLength(value)), Buffer.from(value)]);
  const sync = Buffer.alloc(16, 7);
  return Buffer.concat([
    Buffer.from('Obj\u0001'),
    long(2),
    ...['avro.schema', schema, 'avro.codec', codec].map(text),
    long(0),
    sync,
    long(1),
    text(block),
    sync,
  ]);
}

test('random bytes and broken bodies are shown and never throw', () => {
  const random = new SeededRandom(20261122);
  const schemas = [
    undefined,
    compileSchema({ avro: ORDER }),
    compileSchema({ protobuf: PROTO, message: 'shop.v1.Other' }),
  ];
  const good = [avro.toBuffer(VALUE), Buffer.from(proto.encode(proto.fromObject(MESSAGE)).finish())];
  for (let round = 0; round < 3_000; round++) {
    const start = ['', '4f626a01', '0a', '0000000001', 'c301'][random.below(5)] ?? '';
    const bytes = Buffer.from(Array.from({ length: random.below(40) }, () => random.below(256)));
    const broken = Buffer.from(good[random.below(2)] ?? []);
    broken[random.below(broken.byteLength)] = random.below(256);
    for (const body of [Buffer.concat([Buffer.from(start, 'hex'), bytes]), broken])
      for (const schema of schemas) {
        const decoded = decodeBody({ body }, schema);
        assert.ok(decoded === undefined || decoded.as.length > 0, `round ${round}`);
      }
  }
});
