export interface ScheduleDefinition {
  name: string;
  /** Five or six fields, or `@daily` and the like. */
  cron: string;
  /** IANA name; default UTC. */
  timezone: string;
  topic: string;
  /** One native record. */
  record: Uint8Array;
  nextAt: number | null;
  lastAt: number | null;
}

/** A part of `Operations`. */
export interface ScheduleOperations {
  putSchedule: {
    args: { name: string; cron: string; timezone?: string; topic: string; record: Uint8Array };
    result: { created: boolean; nextAt: number | null };
  };
  deleteSchedule: { args: { name: string }; result: { deleted: boolean } };
  listSchedules: { args: Record<string, never>; result: { schedules: ScheduleDefinition[] } };
}
