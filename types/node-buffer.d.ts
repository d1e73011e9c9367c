/**
 * Methods of `Buffer` that every Node has and that its types leave out: they write and read text without the checks
 * and the encoding lookup of `write` and `toString`, which shows on the hot path of small records.
 */
interface Buffer {
  utf8Write(text: string, offset?: number, length?: number): number;
  utf8Slice(start?: number, end?: number): string;
  latin1Slice(start?: number, end?: number): string;
}
