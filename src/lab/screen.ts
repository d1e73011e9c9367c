import { stripVTControlCharacters, styleText } from 'node:util';

type Style = Parameters<typeof styleText>[0];

const MAX_WIDTH = 88;
/** Of a log, or a terminal that does not say. */
const USUAL_WIDTH = 80;
const INDENT = '  ';

export interface ScreenOutput {
  write(text: string): unknown;
  readonly columns?: number | undefined;
}

/**
 * Where the tour is shown: lines, one after the other. It never moves the cursor, so that a log reads like a terminal;
 * colours only where the stream takes them (NO_COLOR is obeyed).
 */
export class Screen {
  readonly #out: ScreenOutput;
  readonly #colours: boolean;
  /** Characters of a line of text, without the indent. */
  readonly width: number;

  constructor(out: ScreenOutput, colours: boolean) {
    this.#out = out;
    this.#colours = colours;
    this.width = Math.max(40, Math.min(out.columns || USUAL_WIDTH, MAX_WIDTH)) - 2 * INDENT.length;
  }

  line(text = ''): void {
    this.#out.write(text === '' ? '\n' : `${INDENT}${text}\n`);
  }

  paint(style: Style, text: string): string {
    return this.#colours ? styleText(style, text, { validateStream: false }) : text;
  }

  chapter(number: number, title: string): void {
    const head = `${number} · ${title} `;
    const rule = '─'.repeat(Math.max(0, this.width - head.length));
    this.line();
    this.line(`${this.paint('bold', head)}${this.paint('dim', rule)}`);
    this.line();
  }

  /** A paragraph, wrapped. */
  say(text: string, style?: Style): void {
    for (const line of wrap(text, this.width)) this.line(style === undefined ? line : this.paint(style, line));
  }

  /** Something that happens now. */
  step(text: string): void {
    const [first = '', ...rest] = wrap(text, this.width - 2);
    this.line(`${this.paint('cyan', '›')} ${first}`);
    for (const line of rest) this.line(`  ${line}`);
  }

  /** Drawn or tabular lines, as they are. Only the bars get a colour. */
  figure(lines: readonly string[]): void {
    for (const line of lines) this.line(`  ${line.replaceAll(/[▁-▏]+/g, (drawn) => this.paint('blue', drawn))}`);
  }

  /** A claim with what was seen, on one line if that fits. */
  verdict(holds: boolean, claim: string, seen: string): void {
    const said = holds ? claim : `FAILED: ${claim}`;
    const room = this.width - 2;
    const mark = holds ? this.paint('green', '✓') : this.paint('red', '✗');
    if (said.length + seen.length + 3 <= room) {
      this.line(`${mark} ${said}${seen === '' ? '' : this.paint('dim', ` · ${seen}`)}`);
      return;
    }
    const [first = '', ...rest] = wrap(said, room);
    this.line(`${mark} ${first}`);
    for (const line of rest) this.line(`  ${line}`);
    if (seen !== '') for (const line of wrap(seen, room)) this.line(this.paint('dim', `  ${line}`));
  }
}

/** Lines of at most `width` characters, broken at spaces. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/)) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (stripVTControlCharacters(longer).length > width && line !== '') {
      lines.push(line);
      line = word;
    } else line = longer;
  }
  return [...lines, line];
}
