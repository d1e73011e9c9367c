import { randomBytes } from 'node:crypto';
import type { Command } from 'commander';
import { hashPassword } from '../../core/passwords.ts';
import { hashToken } from '../../server/users.ts';
import { readPassword } from '../password.ts';
import { note, print, printJson } from '../terminal.ts';

/** Hashes are made here, so that no secret has to be in a config file. */
export function configure(command: Command): void {
  command
    .argument('<name>', 'the user')
    .option('--password', 'with a password from standard input, instead of a new token')
    .option('--json', 'print JSON')
    .action(async (name: string, options: { password?: boolean; json?: boolean }) => {
      if (options.password) {
        const passwordHash = await hashPassword(await readPassword(`railhead user ${name} --password`));
        if (options.json) printJson({ name, passwordHash });
        else printEntry(name, `passwordHash: ${passwordHash}`);
        return;
      }
      const token = `rh_${randomBytes(24).toString('base64url')}`;
      const tokenHash = hashToken(token);
      if (options.json) {
        printJson({ name, token, tokenHash });
        return;
      }
      note(`The token, shown this once: ${token}`);
      printEntry(name, `tokenHash: ${tokenHash}`);
    });
}

function printEntry(name: string, secret: string): void {
  note('Put this under "users:" in the config file:');
  print(`  - name: ${JSON.stringify(name)}`);
  print(`    ${secret}`);
  print('    grants:');
  print('      - { namespace: default, resource: "*", actions: all }');
}
