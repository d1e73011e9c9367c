import type { ActiveAlert, EndedAlert, ShownRule } from '../alerts.ts';

/** What only the server around the gateways knows, for those who may do everything with it. */
export interface ServerFacts {
  /** What should be changed, by the list of docs/security.md. */
  doctor: () => Promise<DoctorFinding[]>;
  alerts: () => { rules: ShownRule[]; active: ActiveAlert[]; ended: EndedAlert[] };
  /** Where messages lie: what of each segment somebody still needs. */
  segments: () => Promise<{ log: SegmentShare[]; cold: SegmentShare[] }>;
  /** The configuration in force, without secrets. */
  settings: () => { path: string; value: string; from: string; summary: string }[];
  /** Those in which there is anything. */
  namespaces: () => Iterable<string>;
  connections: () => {
    protocol: string;
    address: string;
    user: string | undefined;
    since: number;
    secure: boolean;
    receivedBytes: number;
    sentBytes: number;
  }[];
}

export interface SegmentShare {
  name: string;
  bytes: number;
  aliveBytes: number;
}

/** Something about a broker or its configuration that should be otherwise. */
export interface DoctorFinding {
  check: string;
  /** A hint is a matter of taste: it fails nothing. */
  level: 'error' | 'warning' | 'hint';
  says: string;
  fix: string;
}
