/**
 * The samples of a document, as programs that can run.
 *
 * Every fence that says `ts` or `sh` runs. What may follow the language:
 * - `ignore REASON`: does not run, because REASON.
 * - `continued`: goes on where the fence before it ended; they are one program.
 *
 * A first line `// NAME.ts` names the file of a program, so that later programs of the document can import it.
 */
export interface Sample {
  language: 'ts' | 'sh';
  /** Line of its first fence in the document, from 1. */
  line: number;
  /** File name that its first line gives. */
  name: string | undefined;
  code: string;
}

interface Fence {
  info: string[];
  line: number;
  code: string;
}

const LANGUAGES = new Map<string, Sample['language']>([
  ['ts', 'ts'],
  ['typescript', 'ts'],
  ['js', 'ts'],
  ['sh', 'sh'],
  ['bash', 'sh'],
  ['shell', 'sh'],
]);

/** @throws when a fence is ignored without a reason, or goes on after nothing: such a mistake would hide a sample. */
export function samplesOf(markdown: string): Sample[] {
  const samples: Sample[] = [];
  let previous: Sample | undefined;
  for (const { info, line, code } of fencesOf(markdown)) {
    const language = LANGUAGES.get(info[0] ?? '');
    if (language === undefined) continue;
    if (info[1] === 'ignore') {
      if (info.length < 3) throw new Error(`Line ${line}: an ignored sample says why: \`\`\`${language} ignore REASON`);
      continue;
    }
    if (info[1] === 'continued') {
      if (previous?.language !== language) throw new Error(`Line ${line}: there is no ${language} sample to continue.`);
      previous.code += code;
      continue;
    }
    if (info.length > 1)
      throw new Error(`Line ${line}: a fence says \`ignore REASON\` or \`continued\`, not ${info[1]}.`);
    previous = { language, line, name: /^\/\/ ([\w-]+\.ts)\n/.exec(code)?.[1], code };
    samples.push(previous);
  }
  return samples;
}

function fencesOf(markdown: string): Fence[] {
  const fences: Fence[] = [];
  let open: (Fence & { marker: string }) | undefined;
  for (const [index, text] of markdown.split('\n').entries()) {
    const marker = /^ {0,3}(`{3,}|~{3,})(.*)$/.exec(text);
    if (open === undefined) {
      if (marker === null || (marker[2] ?? '').includes('`')) continue;
      open = { marker: marker[1] ?? '', info: (marker[2] ?? '').trim().split(/\s+/), line: index + 1, code: '' };
    } else if (marker !== null && (marker[1] ?? '').startsWith(open.marker) && (marker[2] ?? '').trim() === '') {
      fences.push(open);
      open = undefined;
    } else {
      open.code += `${text}\n`;
    }
  }
  if (open !== undefined) throw new Error(`Line ${open.line}: the fence is never closed.`);
  return fences;
}
