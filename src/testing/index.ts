/**
 * `railhead/testing`: a broker for tests, in the process of the test. Works in node:test, vitest and jest.
 *
 * @module
 */
export { testBroker } from './broker.ts';
export type { TestBroker, TestBrokerOptions, TestEndpoint, WaitOptions } from './broker.ts';
export type { QueueContents } from './contents.ts';
export type { TestClock } from './clock.ts';
export type { CrashOptions, Faults } from './faults.ts';
export type { TestMessage, TestQueue, TestTarget, WaitingMessage } from './messages.ts';
