import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Principal } from '../../../core/auth.ts';
import type { Caller } from '../service.ts';
import { admitted, PolicyGrants } from './asking.ts';
import { BadPolicy } from './parts.ts';
import { judge, parsePolicy, type Verdict } from './policy.ts';

const ANN: Principal = { name: 'ann', grants: [{ namespace: '123456789012', resource: '*', actions: 'all' }] };
const RESOURCE = 'arn:aws:sqs:eu-central-1:000000000000:orders';
const FACTS = {
  'aws:sourceip': '10.1.2.3',
  'aws:securetransport': 'false',
  'aws:currenttime': '2026-06-01T00:00:00.000Z',
  'aws:epochtime': '1780272000',
  'aws:username': 'ann',
};
const ALLOW = { Effect: 'Allow', Principal: '*', Action: 'sqs:*' };

function verdict(statements: object | object[], action = 'sqs:SendMessage'): Verdict {
  const policy = parsePolicy(JSON.stringify({ Version: '2012-10-17', Statement: statements }));
  return judge(policy, { principal: ANN, action, resource: RESOURCE, facts: new Map(Object.entries(FACTS)) });
}

test('a statement is for who, what and which it names', () => {
  for (const [more, expected] of [
    [{}, 'allowed'],
    [{ Action: 'SQS:sendmessage' }, 'allowed'],
    [{ Action: ['sqs:ReceiveMessage', 'sqs:Send*'] }, 'allowed'],
    [{ Action: 'sqs:ReceiveMessage' }, 'silent'],
    [{ Action: 'sqs:Send?essage' }, 'allowed'],
    [{ Action: 'sqs:Send?Message' }, 'silent'],
    [{ Action: undefined, NotAction: 'sqs:ReceiveMessage' }, 'allowed'],
    [{ Action: undefined, NotAction: 'sqs:*' }, 'silent'],
    [{ Principal: { AWS: '123456789012' } }, 'allowed'],
    [{ Principal: { AWS: ['arn:aws:iam::123456789012:root'] } }, 'allowed'],
    [{ Principal: { AWS: '210987654321' } }, 'silent'],
    [{ Principal: { AWS: 'arn:aws:iam::210987654321:user/team/ann' } }, 'allowed'],
    [{ Principal: { AWS: 'arn:aws:iam::123456789012:user/bob' } }, 'silent'],
    [{ Principal: { AWS: 'arn:aws:iam::123456789012:role/ann' } }, 'silent'],
    [{ Principal: { Service: 'sns.amazonaws.com' } }, 'silent'],
    [{ Principal: undefined, NotPrincipal: { AWS: 'arn:aws:iam::123456789012:user/ann' } }, 'silent'],
    [{ Principal: undefined, NotPrincipal: { AWS: 'arn:aws:iam::123456789012:user/bob' } }, 'allowed'],
    [{ Principal: undefined, NotPrincipal: '*' }, 'silent'],
    [{ Resource: 'arn:aws:sqs:us-east-1:000000000000:orders' }, 'allowed'],
    [{ Resource: 'arn:aws:sqs:*:000000000000:ord*' }, 'allowed'],
    [{ Resource: 'arn:aws:sqs:eu-central-?:000000000000:order?' }, 'allowed'],
    [{ Resource: 'arn:aws:sqs:*:000000000000:orders?' }, 'silent'],
    [{ Resource: 'arn:aws:sqs:eu-central-1:000000000000:payments' }, 'silent'],
    [{ NotResource: RESOURCE }, 'silent'],
  ] as const)
    assert.equal(verdict({ ...ALLOW, ...more }), expected, JSON.stringify(more));
});

test('to deny counts more than to allow, in either order', () => {
  const deny = { ...ALLOW, Effect: 'Deny', Action: 'sqs:SendMessage' };
  assert.equal(verdict([ALLOW, deny]), 'denied');
  assert.equal(verdict([deny, ALLOW]), 'denied');
  assert.equal(verdict([deny, ALLOW], 'sqs:ReceiveMessage'), 'allowed');
  assert.equal(verdict([]), 'silent');
});

test('every condition has to hold, by one of its values', () => {
  for (const [Condition, holds] of [
    [{ IpAddress: { 'aws:SourceIp': ['192.168.0.0/16', '10.0.0.0/8'] } }, true],
    [{ NotIpAddress: { 'aws:SourceIp': '10.1.2.3' } }, false],
    [{ Bool: { 'aws:SecureTransport': 'true' } }, false],
    [{ Bool: { 'aws:SecureTransport': false } }, true],
    [{ DateLessThan: { 'aws:CurrentTime': '2026-06-02T00:00:00Z' } }, true],
    [{ DateGreaterThan: { 'aws:CurrentTime': '2026-06-02T00:00:00Z' } }, false],
    [{ NumericGreaterThanEquals: { 'aws:EpochTime': 1_780_272_000 } }, true],
    [{ StringEquals: { 'aws:username': ['bob', 'ann'] } }, true],
    [{ StringNotEquals: { 'aws:username': ['bob', 'ann'] } }, false],
    [{ StringLike: { 'aws:username': 'a*' }, Bool: { 'aws:SecureTransport': 'true' } }, false],
    [{ StringLike: { 'aws:username': '?n?' } }, true],
    [{ StringLike: { 'aws:username': '?n' } }, false],
    [{ StringEquals: { 'aws:username': '?nn' } }, false],
    [{ ArnEquals: { 'aws:SourceArn': 'arn:aws:sns:*:*:news' } }, false],
    [{ ArnNotEquals: { 'aws:SourceArn': 'arn:aws:sns:*:*:news' } }, true],
    [{ StringEqualsIfExists: { 'aws:SourceAccount': '1' } }, true],
    [{ 'ForAnyValue:StringEquals': { 'aws:username': ['bob', 'ann'] } }, true],
    [{ 'ForAnyValue:StringEquals': { 'aws:SourceAccount': '1' } }, false],
    [{ 'ForAnyValue:StringNotEquals': { 'aws:username': 'ann' } }, false],
    [{ 'ForAnyValue:StringNotEquals': { 'aws:SourceAccount': '1' } }, false],
    [{ 'ForAnyValue:StringLikeIfExists': { 'aws:SourceAccount': '1' } }, true],
    [{ 'ForAllValues:StringLike': { 'aws:username': 'b*' } }, false],
    [{ 'ForAllValues:StringLike': { 'aws:username': 'a*' } }, true],
    [{ 'ForAllValues:StringEquals': { 'aws:SourceAccount': '1' } }, true],
    [{ 'ForAllValues:StringNotEquals': { 'aws:username': 'ann' } }, false],
    [{ Null: { 'aws:SourceArn': 'true' } }, true],
    [{ Null: { 'aws:username': 'true' } }, false],
  ] as const)
    assert.equal(verdict({ ...ALLOW, Condition }), holds ? 'allowed' : 'silent', JSON.stringify(Condition));
});

test('what is not understood or not supported is no policy', () => {
  for (const bad of [
    { ...ALLOW, Effect: 'Maybe' },
    { ...ALLOW, Principal: undefined },
    { ...ALLOW, Action: undefined },
    { ...ALLOW, NotAction: 'sqs:*' },
    { ...ALLOW, Resource: 'arn:aws:sqs:*:*:${aws:username}' },
    { ...ALLOW, Condition: { StringLike: { 'aws:username': 'a${*}' } } },
    { ...ALLOW, NotPrincipal: '*' },
    { ...ALLOW, Principal: { AWS: 'ann' } },
    { ...ALLOW, Principal: undefined, NotPrincipal: { AWS: 'ann' } },
    { ...ALLOW, Condition: { 'ForSomeValues:StringEquals': { 'aws:username': 'ann' } } },
    { ...ALLOW, Condition: { 'ForAnyValue:Null': { 'aws:username': 'true' } } },
    { ...ALLOW, Condition: { 'ForAnyValue:ForAnyValue:StringEquals': { 'aws:username': 'ann' } } },
    { ...ALLOW, Condition: { IpAddress: { 'aws:SourceIp': 'here' } } },
    { ...ALLOW, Condition: { DateLessThan: { 'aws:CurrentTime': 'soon' } } },
    'Allow',
  ])
    assert.throws(() => parsePolicy(JSON.stringify({ Statement: bad })), BadPolicy, JSON.stringify(bad));
  for (const text of ['', '[]', '{}', 'null', '{"Statement":']) assert.throws(() => parsePolicy(text), BadPolicy, text);
});

function asking() {
  const caller: Caller = {
    principal: ANN,
    login: 'required',
    account: '123456789012',
    region: 'eu-central-1',
    origin: 'http://localhost',
    path: '/',
    request: { address: '10.1.2.3', secure: false, headers: {} },
    requestId: '',
    onGone: () => () => {},
  };
  return {
    caller,
    action: 'sqs:SendMessage',
    on: { namespace: 'default', name: 'orders', arn: RESOURCE },
    rights: ['publish'],
    grants: new PolicyGrants(),
    now: 0,
  } as const;
}

test('what a policy allows is done by one and the same principal each time, which may that and no more', () => {
  const policy = parsePolicy(JSON.stringify({ Statement: ALLOW }));
  const asked = asking();
  const { principal, asker } = admitted(policy, asked);
  assert.equal(asker, ANN);
  assert.deepEqual(principal.grants, [{ namespace: 'default', resource: 'orders', actions: ['publish'] }]);
  assert.equal(admitted(policy, asked).principal, principal);
  const others = [
    { ...asked, rights: ['consume'] as const },
    { ...asked, on: { ...asked.on, name: 'payments' } },
    { ...asked, on: { ...asked.on, namespace: '123456789012' } },
    { ...asked, caller: { ...asked.caller, principal: { ...ANN } } },
  ];
  for (const other of others) assert.notEqual(admitted(policy, other).principal, principal);
});

test('a policy that cannot be read keeps everybody out but those who may everything', () => {
  const asked = asking();
  const bad = new BadPolicy('not JSON');
  assert.throws(() => admitted(bad, asked), /explicit deny/);
  const root: Principal = { name: 'root', grants: [{ namespace: '*', resource: '*', actions: 'all' }] };
  assert.equal(admitted(bad, { ...asked, caller: { ...asked.caller, principal: root } }).principal, root);
});
