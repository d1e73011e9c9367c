import { pino, type Logger } from 'pino';
import type { ServerConfig } from './settings.ts';

export type { Logger };

/** Colours a level on a terminal; the identity elsewhere. */
type Paint = (level: string, text: string) => string;

/**
 * One line for each thing that matters: start, stop, notices of recovery, failures, refused logins. Never a secret, a
 * body or a header. `format: 'auto'` is text on a terminal and JSON elsewhere. Lines go to stderr: stdout is for results.
 */
export function createLogger(
  log: ServerConfig['log'],
  out: NodeJS.WritableStream & { isTTY?: boolean },
  paint: Paint = plain,
): Logger {
  const text = log.format === 'text' || (log.format === 'auto' && out.isTTY === true);
  const destination = { write: (line: string) => void out.write(text ? readable(line, paint) : line) };
  return pino(
    {
      level: log.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      messageKey: 'message',
    },
    destination,
  );
}

const plain: Paint = (_level, text) => text;

function readable(line: string, paint: Paint): string {
  const { time, level, message, ...rest } = JSON.parse(line) as Record<string, unknown>;
  const facts = Object.entries(rest).map(
    ([name, value]) => ` ${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
  const label = String(level).padEnd(5);
  return `${String(time).slice(11, 19)} ${paint(String(level), label)} ${oneLine(String(message))}${oneLine(facts.join(''))}\n`;
}

/** A name or an error text from outside must not forge a second line, or move the cursor of a terminal. */
function oneLine(text: string): string {
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, ' ');
}
