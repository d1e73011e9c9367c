/** What those who log in, and those who try, may make grow. */
export interface LoginLimits {
  /** Passwords that are checked at one time: each takes 32 MiB and a thread of four, which file syncs need as well. */
  passwordsAtOnce: number;
  /** Passwords that wait to be checked; one more is refused, of the network (an address, a /64 of IPv6) that has most of them. */
  passwordsWaiting: number;
  /**
   * Refused logins from one address (or /64 of IPv6) in a minute, over all protocols; then it waits until the minute is
   * over. Of this machine's those of browsers alone. See `limits.refusedLogins`.
   */
  refusedOfAddress: number;
  /** Addresses of which refused logins are counted. */
  refusedAddresses: number;
  /** Logins of browsers; one more ends the one that was not used for longest. */
  browsers: number;
  /** A login of a browser is over after so long without a request. */
  browserIdleMs: number;
  /** A login of a browser is over after so long in any case. */
  browserMs: number;
  /** Access keys of one user. */
  accessKeysOfUser: number;
  /** Tags of one user. */
  tagsOfUser: number;
  /** ACLs of Kafka, of all users together. */
  acls: number;
}

export const LOGIN_LIMITS: LoginLimits = {
  passwordsAtOnce: 2,
  passwordsWaiting: 64,
  refusedOfAddress: 10,
  refusedAddresses: 10_000,
  browsers: 10_000,
  browserIdleMs: 3_600_000,
  browserMs: 12 * 3_600_000,
  accessKeysOfUser: 16,
  tagsOfUser: 16,
  acls: 10_000,
};
