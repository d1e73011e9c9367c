import type { DecodedByBroker } from './decode.ts';

/** A message as the API shows it to somebody who looks at it. */
export interface Message {
  id: string;
  body?: unknown;
  base64?: string;
  contentType?: string;
  key?: string;
  priority?: number;
  headers?: Record<string, unknown>;
  publishedAt: string;
  state: 'ready' | 'delayed' | 'leased' | 'settled';
  attempts: number;
  crashes: number;
  bodyBytes?: number;
  dueAt: string | null;
  expiresAt: string | null;
  history?: History;
  decoded?: DecodedByBroker;
}

export interface History {
  reason: string;
  error?: string;
  topic: string;
  subscription: string;
  id: string;
  attempts: number;
  crashes: number;
  publishedAt: string;
  deadAt: string;
  deaths?: { reason: string; topic: string; subscription: string; count: number; firstAt: string }[];
}
