/** As the broker keeps it: an hour. */
const SPAN_MS = 3_600_000;
/** What is older than two minutes is there once in ten seconds. */
const FINE_MS = 120_000;
const COARSE_MS = 10_000;
/** A page that is open for days does not look at all of it each second. */
const SLACK = 60;

/** Points of a chart, the oldest first: takes out those that it does not need. */
export function thin(points: { at: number }[]): void {
  const last = points.at(-1)?.at ?? 0;
  const most = SPAN_MS / COARSE_MS + FINE_MS / 1_000 + SLACK;
  if (points.length <= most) return;
  let kept = -Infinity;
  const left = points.filter(({ at }) => {
    const keep = at > last - FINE_MS || (at > last - SPAN_MS && at >= kept + COARSE_MS);
    if (keep) kept = at;
    return keep;
  });
  points.splice(0, points.length, ...left);
}
