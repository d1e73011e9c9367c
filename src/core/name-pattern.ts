import { RailheadError } from './errors.ts';

/**
 * Patterns of names as operators of RabbitMQ write them: a part of the regular expressions, matched in time that is
 * linear in the name, since no pattern from outside reaches `RegExp`.
 *
 * Understood are characters, `.`, `*`, `+`, `?`, classes such as `[a-z_]` and `[^.]`, `\d` `\w` `\s` and their
 * opposites, groups, `|`, `^` and `$`, a backslash before any sign, and at the very beginning `^(?!…)`, which keeps out
 * the names that begin with what is within. Everything else (`{2,3}`, backreferences, other looks around) is refused.
 * Without anchors a pattern may match anywhere in the name; the empty one matches only the empty name.
 */
export class NamePattern {
  readonly source: string;
  readonly #program: Program;
  /** What must not be at the beginning. */
  readonly #not: Program | undefined;
  /** The same names are asked for again and again. */
  readonly #asked = new Map<string, boolean>();

  /** @throws INVALID saying what is not understood, and where */
  constructor(source: string) {
    this.source = source;
    if (source.length > MAX_PATTERN_LENGTH) throw refused(source, 0, `at most ${MAX_PATTERN_LENGTH} characters`);
    const parser = new Parser(source);
    const { not, program } = parser.parse();
    this.#not = not;
    this.#program = program;
  }

  matches(name: string): boolean {
    let answer = this.#asked.get(name);
    if (answer !== undefined) return answer;
    answer = this.source === '' ? name === '' : this.#match(name);
    if (this.#asked.size >= MAX_REMEMBERED) this.#asked.clear();
    this.#asked.set(name, answer);
    return answer;
  }

  #match(name: string): boolean {
    if (this.#not !== undefined && run(this.#not, name, 'at the start')) return false;
    return run(this.#program, name, 'anywhere');
  }
}

const MAX_PATTERN_LENGTH = 1024;
const MAX_DEPTH = 32;
const MAX_REMEMBERED = 1000;

function refused(source: string, at: number, why: string): RailheadError {
  return new RailheadError(
    'INVALID',
    `The pattern ${JSON.stringify(source.slice(0, 200))} is not understood at character ${at + 1}: ${why}. Allowed are characters, . * + ? [classes] (groups) | ^ $ and \\ before a sign.`,
  );
}

// ---- Program --------------------------------------------------------------------------------------------------------

type CharacterTest = (code: number) => boolean;

/** One step of a machine that is in many places at once. A number says where it goes on. */
type Step =
  | { is: 'character'; test: CharacterTest; next: number }
  | { is: 'split'; next: number; other: number }
  | { is: 'start' | 'end'; next: number }
  | { is: 'match' };

interface Program {
  readonly steps: readonly Step[];
  readonly first: number;
}

/** Every step is looked at once for each character, whatever the pattern. */
function run({ steps, first }: Program, name: string, where: 'anywhere' | 'at the start'): boolean {
  let now = new Places(steps.length);
  let then = new Places(steps.length);
  for (let at = 0; at <= name.length; at++) {
    if (at === 0 || where === 'anywhere') now.add(first);
    for (let i = 0; i < now.count; i++) {
      const step = steps[now.at(i)];
      if (step === undefined || step.is === 'match') return true;
      if (step.is === 'split') {
        now.add(step.next);
        now.add(step.other);
      } else if (step.is === 'character') {
        if (at < name.length && step.test(name.charCodeAt(at))) then.add(step.next);
      } else if (at === (step.is === 'start' ? 0 : name.length)) now.add(step.next);
    }
    [now, then] = [then, now];
    then.clear();
  }
  return false;
}

/** A set of steps in the order in which they were added. */
class Places {
  readonly #list: Uint32Array;
  readonly #in: Uint8Array;
  count = 0;

  constructor(size: number) {
    this.#list = new Uint32Array(size);
    this.#in = new Uint8Array(size);
  }

  at(i: number): number {
    return this.#list[i] ?? 0;
  }

  add(step: number): void {
    if (this.#in[step] === 1) return;
    this.#in[step] = 1;
    this.#list[this.count++] = step;
  }

  clear(): void {
    this.#in.fill(0);
    this.count = 0;
  }
}

// ---- Parser ---------------------------------------------------------------------------------------------------------

const REPEATS = ['*', '+', '?'];

const CLASSES = new Map<string, CharacterTest>([
  ['d', (code) => code >= 48 && code <= 57],
  ['w', isWord],
  ['s', (code) => code === 32 || (code >= 9 && code <= 13)],
]);

function isWord(code: number): boolean {
  return (code >= 48 && code <= 57) || (code >= 65 && code <= 90) || code === 95 || (code >= 97 && code <= 122);
}

const CONTROLS = new Map<string, number>([
  ['t', 9],
  ['n', 10],
  ['r', 13],
]);

/** Builds the steps from the end to the beginning of each part: `next` is where a part goes on. */
class Parser {
  readonly #source: string;
  #at = 0;
  #depth = 0;
  readonly #steps: Step[] = [];

  constructor(source: string) {
    this.#source = source;
  }

  parse(): { not: Program | undefined; program: Program } {
    let not: Program | undefined;
    let begins = false;
    if (this.#source.startsWith('^(?!')) {
      this.#at = 4;
      not = this.#program(this.#alternatives());
      if (this.#source[this.#at] !== ')') throw this.#refused('a group is not closed');
      this.#at++;
      begins = true;
    }
    const rest = this.#alternatives();
    if (this.#at < this.#source.length) throw this.#refused('a group is closed that was not opened');
    const program = this.#program((next) => (begins ? this.#add({ is: 'start', next: rest(next) }) : rest(next)));
    return { not, program };
  }

  #program(part: Part): Program {
    const first = part(this.#add({ is: 'match' }));
    return { steps: this.#steps, first };
  }

  #add(step: Step): number {
    return this.#steps.push(step) - 1;
  }

  #refused(why: string): RailheadError {
    return refused(this.#source, this.#at, why);
  }

  #alternatives(): Part {
    if (++this.#depth > MAX_DEPTH) throw this.#refused(`more than ${MAX_DEPTH} groups in each other`);
    const branches = [this.#sequence()];
    while (this.#source[this.#at] === '|') {
      this.#at++;
      branches.push(this.#sequence());
    }
    this.#depth--;
    return (next) =>
      branches
        .map((branch) => branch(next))
        .reduceRight((other, first) => this.#add({ is: 'split', next: first, other }));
  }

  #sequence(): Part {
    const parts: Part[] = [];
    while (this.#at < this.#source.length && !'|)'.includes(this.#source.charAt(this.#at)))
      parts.push(this.#repeated());
    return (next) => parts.reduceRight((then, part) => part(then), next);
  }

  #repeated(): Part {
    const part = this.#atom();
    const sign = this.#source.charAt(this.#at);
    if (!REPEATS.includes(sign)) return part;
    this.#at++;
    if (REPEATS.includes(this.#source.charAt(this.#at))) throw this.#refused('a sign of repetition after another one');
    if (sign === '?') return (next) => this.#add({ is: 'split', next: part(next), other: next });
    return (next) => {
      const again: Step = { is: 'split', next: 0, other: next };
      const loop = this.#add(again);
      again.next = part(loop);
      return sign === '*' ? loop : again.next;
    };
  }

  #atom(): Part {
    const sign = this.#source.charAt(this.#at);
    if (REPEATS.includes(sign)) throw this.#refused('nothing is there to be repeated');
    if (sign === '{') throw this.#refused('numbers of repetitions are not supported');
    if (sign === '(') return this.#group();
    this.#at++;
    if (sign === '^') return (next) => this.#add({ is: 'start', next });
    if (sign === '$') return (next) => this.#add({ is: 'end', next });
    const test =
      sign === '.' ? () => true : sign === '[' ? this.#class() : sign === '\\' ? this.#escaped() : equal(sign);
    return (next) => this.#add({ is: 'character', test, next });
  }

  #group(): Part {
    this.#at++;
    if (this.#source.startsWith('?:', this.#at)) this.#at += 2;
    else if (this.#source[this.#at] === '?') throw this.#refused('only (?: and, at the beginning, ^(?! are supported');
    const inner = this.#alternatives();
    if (this.#source[this.#at] !== ')') throw this.#refused('a group is not closed');
    this.#at++;
    return inner;
  }

  /** After a backslash. */
  #escaped(): CharacterTest {
    const sign = this.#source.charAt(this.#at);
    const known = CLASSES.get(sign.toLowerCase());
    if (known !== undefined) {
      this.#at++;
      return sign === sign.toLowerCase() ? known : (code) => !known(code);
    }
    return equalCode(this.#escapedCode());
  }

  #escapedCode(): number {
    const sign = this.#source.charAt(this.#at);
    const control = CONTROLS.get(sign);
    if (sign === '' || (control === undefined && isWord(sign.charCodeAt(0))))
      throw this.#refused(`\\${sign} is not supported`);
    this.#at++;
    return control ?? sign.charCodeAt(0);
  }

  /** After the opening bracket. */
  #class(): CharacterTest {
    const opposite = this.#source[this.#at] === '^';
    if (opposite) this.#at++;
    const tests: CharacterTest[] = [];
    for (let first = true; first || this.#source[this.#at] !== ']'; first = false) {
      if (this.#at >= this.#source.length) throw this.#refused('a class is not closed');
      tests.push(this.#classMember());
    }
    this.#at++;
    return (code) => tests.some((test) => test(code)) !== opposite;
  }

  #classMember(): CharacterTest {
    if (this.#source.startsWith('[:', this.#at)) throw this.#refused('classes with names are not supported');
    if (this.#source[this.#at] === '\\' && CLASSES.has(this.#source.charAt(this.#at + 1).toLowerCase())) {
      this.#at++;
      return this.#escaped();
    }
    const from = this.#classCode();
    if (this.#source[this.#at] !== '-' || [undefined, ']'].includes(this.#source[this.#at + 1])) return equalCode(from);
    this.#at++;
    const to = this.#classCode();
    if (to < from) throw this.#refused('a range goes backwards');
    return (code) => code >= from && code <= to;
  }

  #classCode(): number {
    const sign = this.#source.charAt(this.#at++);
    return sign === '\\' ? this.#escapedCode() : sign.charCodeAt(0);
  }
}

/** Adds its steps, which go on at `next`, and says where it begins. */
type Part = (next: number) => number;

function equal(sign: string): CharacterTest {
  return equalCode(sign.charCodeAt(0));
}

function equalCode(wanted: number): CharacterTest {
  return (code) => code === wanted;
}
