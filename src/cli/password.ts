import { UsageError } from './usage.ts';

/** From standard input, so that it is seen nowhere. @throws UsageError */
export async function readPassword(verb: string): Promise<string> {
  if (process.stdin.isTTY)
    throw new UsageError(
      `A password is read from standard input, so that it is seen nowhere: printf %s "$PASSWORD" | ${verb}.`,
    );
  let text = '';
  for await (const chunk of process.stdin.setEncoding('utf8')) text += String(chunk);
  const password = text.replace(/\r?\n$/, '');
  if (password.length < 8) throw new UsageError('The password is shorter than 8 characters. Use a longer one.');
  return password;
}
