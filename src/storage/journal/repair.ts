import { crc32 } from 'node:zlib';
import { assert } from '../../core/errors.ts';
import { isSystemError, storageError, writeFully, type Disk, type DiskFile } from '../disk.ts';
import { bodyBytesAt, encodeHeader, endOf, HEADER_BYTES, KIND_LOST, type BatchHeader } from './header.ts';
import { closeScan } from './inspect.ts';
import { corrupt } from './recovery.ts';
import { scanJournal, type Damage, type JournalScan } from './scan.ts';
import { segmentName } from './segment.ts';

/*
 * A repair puts one `lost` batch over each damaged place. Its header takes the place of the first damaged one, its body
 * is what lies there up to the next whole batch (under a CRC of its own, so that later damage shows again), its count
 * says how many sequences are gone, and its `resume` is what the next whole batch names as `previous`: so the chain is
 * closed and nothing behind it is touched.
 */

export interface RepairReport {
  /** What was damaged, in the order it was repaired. Empty when nothing was. */
  repaired: RepairedPlace[];
  /** Copies of the files as they were, beside them. */
  copies: string[];
}

export interface RepairedPlace {
  damage: Damage;
  /** The sequences given up, inclusive; null when only batches without entries were hit. */
  lost: { first: number; last: number } | null;
  /** The bytes that were there, from the damaged header on: what can be decoded of them is for the engine to say. */
  raw: Buffer;
}

/** Where a lost batch goes. */
interface Mark {
  generation: number;
  byte: number;
  end: number;
}

const COPY_BYTES = 2 ** 20;
const MAX_COUNT = 2 ** 32 - 1;

/**
 * Makes a damaged journal readable again by giving up what is damaged. Each file is copied (to `NAME.damaged-N`) before
 * it is changed. Does nothing to a journal without damage. Nobody may use the directory meanwhile: hold its lock.
 *
 * @throws JOURNAL_CORRUPT without `acceptLoss` when there is damage, or when it is of a kind that nobody can repair
 */
export async function repairJournal(disk: Disk, options: { acceptLoss: boolean }): Promise<RepairReport> {
  const report: RepairReport = { repaired: [], copies: [] };
  const copied = new Set<string>();
  for (;;) {
    const scan = await scanJournal(disk, () => {});
    try {
      if (scan.damage === null) return report;
      if (!options.acceptLoss) throw corrupt(disk.where, scan.damage);
      const before = report.repaired.at(-1)?.damage;
      assert(
        before?.generation !== scan.damage.generation || before.byte !== scan.damage.byte,
        'a repair repaired nothing',
      );
      report.repaired.push(await new Repair(disk, scan, scan.damage, copied, report.copies).run());
    } catch (error) {
      throw isSystemError(error) ? storageError(error, `repairing the journal in ${disk.where}`) : error;
    } finally {
      await closeScan(scan);
    }
  }
}

class Repair {
  readonly #disk: Disk;
  readonly #scan: JournalScan;
  readonly #damage: Damage;
  readonly #copied: Set<string>;
  readonly #copies: string[];
  readonly #journalId: Buffer;

  constructor(disk: Disk, scan: JournalScan, damage: Damage, copied: Set<string>, copies: string[]) {
    assert(scan.journalId !== null, 'damage without a journal');
    this.#disk = disk;
    this.#scan = scan;
    this.#damage = damage;
    this.#copied = copied;
    this.#copies = copies;
    this.#journalId = scan.journalId;
  }

  async run(): Promise<RepairedPlace> {
    const end = this.#scan.segments.at(-1);
    const broken = end === undefined || end.used === 0;
    const at = { generation: end?.generation ?? this.#damage.generation, byte: end?.used ?? 0 };
    const anchor = this.#anchor();
    // Where nothing before is left, nobody knows with which sequence it began: all before the anchor are given up.
    const next = anchor?.firstSequence ?? Math.max(this.#scan.syncedTo, this.#scan.lastSequence) + 1;
    const first = broken ? Math.max(1, next - MAX_COUNT) : this.#scan.lastSequence + 1;
    const marks = this.#marks(at, broken, anchor);
    const raw = await this.#raw(marks, anchor);
    let { previous } = this.#scan;
    for (const [index, mark] of marks.entries()) {
      const isLast = index === marks.length - 1;
      const resume = isLast ? (anchor?.previous ?? 0) : mark.generation;
      await this.#write(mark, {
        epoch: broken ? (anchor?.epoch ?? this.#scan.highestEpoch) : this.#scan.epoch,
        firstSequence: index === 0 ? first : next,
        syncedTo: this.#scan.syncedTo,
        count: index === 0 ? next - first : 0,
        oldest: this.#scan.segments[0]?.generation ?? this.#damage.generation,
        resume,
        previous,
      });
      previous = resume;
    }
    return { damage: this.#damage, lost: next > first ? { first, last: next - 1 } : null, raw };
  }

  /** The first whole batch behind the damage. */
  #anchor(): BatchHeader | undefined {
    const missing = this.#scan.lastSequence + 1;
    return this.#scan.evidence.find(
      (one) => one.bodyIsWhole && (this.#scan.segments.at(-1)?.used === 0 || one.header.firstSequence >= missing),
    )?.header;
  }

  #marks(at: { generation: number; byte: number }, broken: boolean, anchor: BatchHeader | undefined): Mark[] {
    const size = this.#scan.segments.at(-1)?.bytes ?? Infinity;
    const here = { ...at, end: at.byte + HEADER_BYTES };
    if (anchor === undefined)
      return here.end <= size ? [here] : [{ generation: at.generation + 1, byte: 0, end: HEADER_BYTES }];
    if (anchor.generation === at.generation) return [{ ...at, end: anchor.byte }];
    if (anchor.generation === at.generation + 1 && anchor.byte === 0) return [here];
    const marks: Mark[] = broken ? [here] : [];
    for (let generation = at.generation + 1; generation < anchor.generation; generation++) {
      marks.push({ generation, byte: 0, end: HEADER_BYTES });
    }
    if (anchor.byte > 0) marks.push({ generation: anchor.generation, byte: 0, end: anchor.byte });
    return marks;
  }

  /** The damaged bytes, for a last look. */
  async #raw(marks: Mark[], anchor: BatchHeader | undefined): Promise<Buffer> {
    const parts: Buffer[] = [];
    for (const mark of marks) {
      const segment = this.#find(mark.generation);
      if (segment === undefined) continue;
      let { end } = mark;
      if (anchor?.generation !== mark.generation) {
        for (const one of this.#scan.evidence) {
          if (one.generation === mark.generation) end = Math.max(end, endOf(one.header));
        }
        // What the damaged header says of its length may still be right.
        const claimed = mark.byte + HEADER_BYTES + bodyBytesAt(await segment.read(mark.byte, HEADER_BYTES));
        if (claimed <= segment.size()) end = Math.max(end, claimed);
      }
      parts.push(await segment.read(mark.byte, end - mark.byte));
    }
    return Buffer.concat(parts);
  }

  async #write(
    mark: Mark,
    header: Omit<BatchHeader, 'crc' | 'generation' | 'byte' | 'kind' | 'bodyBytes' | 'bodyCrc'>,
  ): Promise<void> {
    const file = await this.#copy(mark.generation);
    const body = await file.read(mark.byte + HEADER_BYTES, mark.end - mark.byte - HEADER_BYTES);
    const bytes = Buffer.alloc(HEADER_BYTES);
    encodeHeader(bytes, this.#journalId, {
      ...header,
      generation: mark.generation,
      byte: mark.byte,
      kind: KIND_LOST,
      bodyBytes: body.length,
      bodyCrc: crc32(body),
    });
    writeFully(file, [bytes], bytes.length, mark.byte);
    await file.sync();
    if (this.#find(mark.generation) === undefined) await file.close();
  }

  #find(generation: number): DiskFile | undefined {
    return [...this.#scan.segments, ...this.#scan.spares].find((segment) => segment.generation === generation)?.file;
  }

  /** The file of that generation, with a copy beside it; a new one where it is missing. */
  async #copy(generation: number): Promise<DiskFile> {
    const name = segmentName(generation);
    const found = this.#find(generation);
    if (found === undefined) {
      const made = await this.#disk.create(name);
      await made.allocate([...this.#scan.segments, ...this.#scan.spares][0]?.bytes ?? 4096);
      await this.#disk.syncDir();
      return made;
    }
    if (this.#copied.has(name)) return found;
    const taken = new Set((await this.#disk.list()).map((file) => file.name));
    let number = 1;
    while (taken.has(`${name}.damaged-${number}`)) number++;
    const copy = await this.#disk.create(`${name}.damaged-${number}`);
    for (let at = 0; at < found.size(); at += COPY_BYTES) {
      const bytes = await found.read(at, COPY_BYTES);
      writeFully(copy, [bytes], bytes.length, at);
    }
    await copy.sync();
    await copy.close();
    await this.#disk.syncDir();
    this.#copied.add(name);
    this.#copies.push(`${name}.damaged-${number}`);
    return found;
  }
}
