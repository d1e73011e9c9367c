/** Clients of others send numbers and handle them while the server is killed three times. None that was confirmed is lost. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { start } from '../../kill/aws-loop.ts';
import { throughKills } from '../wide/through-kills.ts';

const PROGRAMS = join(import.meta.dirname, '../wide/programs');
/** So many between two kills; `npm run soak -- aws-kill` is the long run. */
const SOME = 25;
/** A process for each step takes its time. */
const FEW = 6;

const CLIENTS = [
  { name: 'sqs-producer and sqs-consumer', command: process.execPath, program: 'sqs-numbers.mjs', wants: null },
  {
    name: 'boto3 of Debian',
    command: '/usr/bin/python3',
    program: 'boto_numbers.py',
    wants: { path: '/usr/lib/python3/dist-packages/boto3', package: 'python3-boto3' },
  },
  {
    name: "Amazon's command line of Debian",
    command: '/usr/bin/python3',
    program: 'aws_numbers.py',
    wants: { path: '/usr/bin/aws', package: 'awscli' },
    betweenKills: FEW,
  },
];

for (const { name, command, program, wants, betweenKills = SOME } of CLIENTS) {
  const isThere = wants === null || existsSync(wants.path);
  const skip = isThere ? false : `NOT RUN: ${wants.package} is not installed (apt install ${wants.package})`;
  test(`${name}: what was confirmed is handled, through kills of the server`, { skip }, async (t) => {
    const args = [join(PROGRAMS, program)];
    const programs = () => [{ command, args, cwd: PROGRAMS }];
    const { lost, unexpected, confirmed, received } = await throughKills(programs, start, betweenKills);
    assert.deepEqual({ lost, unexpected }, { lost: [], unexpected: [] });
    t.diagnostic(`${confirmed} confirmed, ${received} received`);
  });
}
