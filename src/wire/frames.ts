/**
 * The frames of the native protocol. Little endian. Both ends build and read them with the files of this folder.
 *
 * ```
 * frame    u32 size (of what follows: 1 … the limit of the state)
 *          u8  type
 *          body
 * text     u16 n, n bytes utf-8
 * data     one MessagePack value, to the end of the frame: no extension types, depth at most 32
 *
 * type                    from    body                                                   answered by
 * 0x01 HELLO              client  data Hello                                             WELCOME or GOODBYE
 * 0x02 WELCOME            broker  data Welcome
 * 0x03 HEARTBEAT          both    nothing
 * 0x04 GOODBYE            both    data WireError; the sender closes after it             GOODBYE (to a client's)
 * 0x05 RENEW              client  data Renewal; from version 2 on, one at a time         RENEWED
 * 0x06 RENEWED            broker  data Renewed
 *
 * 0x10 PUBLISH            client  u32 id, publish (publish.ts), records                  PUBLISHED or FAILED
 * 0x11 PUBLISHED          broker  u32 id, receipt (publish.ts)
 * 0x12 SETTLE             client  u32 id, settle (settle.ts)                             SETTLED or FAILED
 * 0x13 SETTLED            broker  u32 id, [data lost]
 * 0x14 COMMIT             client  u32 id, data Transaction                               COMMITTED or FAILED
 * 0x15 COMMITTED          broker  u32 id, data list of receipts
 * 0x16 REQUEST            client  u32 id, text operation, data arguments                 RESULT or FAILED
 * 0x17 RESULT             broker  u32 id, data result
 * 0x18 CONSUME            client  u32 id, u32 consumer, data ConsumeRequest              DONE or FAILED
 * 0x19 CLOSE_CONSUMER     client  u32 id, u32 consumer, u8 release (0 or 1)              DONE or FAILED
 * 0x1a DONE               broker  u32 id
 * 0x1b FAILED             broker  u32 id, data WireError
 *
 * 0x30 BODY               client  u32 id, u32 body, data { to, bytes }                   DONE or FAILED
 * 0x31 BODY_PIECE         client  u32 id, u32 body, bytes                                DONE or FAILED
 * 0x32 BODY_END           client  u32 id, u32 body, u8 whole (1) or given up (0)         DONE or FAILED
 *
 * 0x20 CREDIT             client  u32 consumer, u32 messages
 * 0x21 DELIVER            broker  u32 consumer, runs (deliver.ts)
 * 0x24 DELIVER_LARGE      broker  u32 consumer, u32 bytes to come, one run (deliver.ts)
 * 0x25 MORE               broker  u32 consumer, bytes of it; none: it will not come
 * 0x22 LOST               broker  u32 consumer, ranges (settle.ts)
 * 0x23 ENDED              broker  u32 consumer, data reason
 * ```
 *
 * Ids of requests, consumers and bodies are chosen by the client and are unique among those it has open. Answers come in any
 * order; deliveries of one consumer come in the order of the broker. Between a
 * DELIVER_LARGE and the last MORE of it there is no other delivery to that consumer, but anything to others.
 *
 * To change: a new frame type or a changed body needs a new protocol version (`handshake.ts`). A field that a reader of
 * `data` does not know is refused in arguments (an accepted option must be enforced) and ignored in the handshake.
 */
export const FRAME = {
  HELLO: 0x01,
  WELCOME: 0x02,
  HEARTBEAT: 0x03,
  GOODBYE: 0x04,
  RENEW: 0x05,
  RENEWED: 0x06,
  PUBLISH: 0x10,
  PUBLISHED: 0x11,
  SETTLE: 0x12,
  SETTLED: 0x13,
  COMMIT: 0x14,
  COMMITTED: 0x15,
  REQUEST: 0x16,
  RESULT: 0x17,
  CONSUME: 0x18,
  CLOSE_CONSUMER: 0x19,
  DONE: 0x1a,
  FAILED: 0x1b,
  CREDIT: 0x20,
  DELIVER: 0x21,
  LOST: 0x22,
  ENDED: 0x23,
  DELIVER_LARGE: 0x24,
  MORE: 0x25,
  BODY: 0x30,
  BODY_PIECE: 0x31,
  BODY_END: 0x32,
} as const;

/** Size field and type. */
export const FRAME_HEADER_BYTES = 5;

/** Largest frame before login, so that a stranger can make us hold almost nothing. */
export const MAX_HELLO_BYTES = 8 * 1024;

/** Room around the largest record of a frame: names, envelope, run headers. */
export const FRAME_OVERHEAD_BYTES = 128 * 1024;

/** A message with more is sent in pieces, both ways, so that others have their turn between them. */
export const LARGE_MESSAGE_BYTES = 1024 * 1024;
export const PIECE_BYTES = 256 * 1024;

/** Largest frame after login unless the broker names another: a batch of 16 MiB and what is around it. */
export const DEFAULT_MAX_FRAME_BYTES = 16 * 1024 * 1024 + FRAME_OVERHEAD_BYTES;

export const DEFAULT_HEARTBEAT_MS = 10_000;

/** What a client asks for when it upgrades an HTTP connection. */
export const UPGRADE_PATH = '/railhead';
export const UPGRADE_PROTOCOL = 'railhead/1';

/** Name of a frame type, for messages to people. */
export function frameName(type: number): string {
  for (const [name, value] of Object.entries(FRAME)) if (value === type) return name;
  return `0x${type.toString(16).padStart(2, '0')}`;
}
