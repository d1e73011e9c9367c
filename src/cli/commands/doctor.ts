import type { Command } from 'commander';
import type { DoctorFinding } from '../../gateways/http/server-facts.ts';
import { brokerOptions, type BrokerOptions } from '../broker.ts';
import { askServer } from '../http.ts';
import { paint, print, printJson, safe } from '../terminal.ts';

const COLOURS = { error: 'red', warning: 'yellow', hint: 'cyan' } as const;

/** Exit code 0: nothing to fix, or hints alone. 1: something should be changed. */
export function configure(command: Command): void {
  brokerOptions(command).action(async (options: BrokerOptions) => {
    const { findings } = await askServer<{ findings: DoctorFinding[] }>(options, '/doctor');
    if (options.json) for (const finding of findings) printJson(finding);
    else
      for (const { level, check, says, fix } of findings)
        print(
          `${paint(COLOURS[level], level.padEnd(7), process.stdout)} ${check}: ${safe(says)}\n        ${safe(fix)}`,
        );
    const bad = findings.filter(({ level }) => level !== 'hint').length;
    if (!options.json) print(bad === 0 ? 'Nothing to fix.' : `${bad} to fix. The list is in docs/security.md.`);
    if (bad > 0) process.exitCode = 1;
  });
}
