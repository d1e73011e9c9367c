/** Below this the collection of garbage is as good. */
const GIVE_BACK_BYTES = 16 * 1024;

/**
 * Gives memory back before the collection of garbage would, which what lies outside the heap makes run far too often.
 * Nobody may use a view of it any more: each is empty from now on. What is little, or a part of something, stays.
 */
export function giveBack({ buffer, byteLength }: Buffer): void {
  if (byteLength < GIVE_BACK_BYTES || byteLength !== buffer.byteLength) return;
  if (buffer instanceof ArrayBuffer) buffer.transfer(0);
}
