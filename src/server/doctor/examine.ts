import type { DoctorFinding } from '../../gateways/http/server-facts.ts';
import { diagnose } from './checks.ts';
import { type DoctorParts, lookAround } from './facts.ts';

/** Holds a broker that runs against the list in docs/security.md. */
export async function examine(parts: DoctorParts): Promise<DoctorFinding[]> {
  return diagnose(await lookAround(parts));
}
