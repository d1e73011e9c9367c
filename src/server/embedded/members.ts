import { mkdirSync, realpathSync } from 'node:fs';
import { RailheadError } from '../../core/errors.ts';
import { Member, type MemberOptions } from './member.ts';

/**
 * One for the process, not for the module: hot reload and bundlers load this code more than once, and two brokers in
 * one directory are not possible. The number changes when `Member` does; copies with other numbers find the lock taken
 * and join through the socket.
 */
const MEMBERS = Symbol.for('railhead.directories.1');

function members(): Map<string, Member> {
  const holder: { [MEMBERS]?: Map<string, Member> } = globalThis as { [MEMBERS]?: Map<string, Member> };
  return (holder[MEMBERS] ??= new Map());
}

/** Enters the one member of this process for a directory. `leave` it again. */
export function enterDirectory(dir: string, mayOwn: boolean, options: MemberOptions): Member {
  const directory = realPath(dir, mayOwn);
  let member = members().get(directory);
  if (member === undefined) {
    member = new Member(directory, options);
    members().set(directory, member);
  }
  member.enter(mayOwn);
  return member;
}

export async function leaveDirectory(member: Member, mayOwn: boolean): Promise<void> {
  try {
    await member.leave(mayOwn);
  } finally {
    // Not before: who opens the directory while it is being given up waits for that.
    if (member.unused && members().get(member.directory) === member) members().delete(member.directory);
  }
}

/** One directory, however it is written. */
function realPath(dir: string, make: boolean): string {
  try {
    if (make) mkdirSync(dir, { recursive: true, mode: 0o700 });
    return realpathSync(dir);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    if (!make) {
      throw new RailheadError(
        'NOT_FOUND',
        `The directory ${dir} cannot be joined (${why}). With own: false it must be there: start the process that owns it first.`,
        { cause: error },
      );
    }
    throw new RailheadError(
      'STORAGE_FAILED',
      `The directory ${dir} cannot be opened (${why}). Choose one that this process may write.`,
      { cause: error },
    );
  }
}
