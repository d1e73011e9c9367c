/** Drawn here, 16 × 16, in the colour of the text around them. */
const PATHS = {
  home: 'M2.5 7.5 8 2.8l5.5 4.7M4 6.6v6.6h8V6.6',
  queues: 'M2.5 3.5h11M2.5 8h11M2.5 12.5h7',
  topics: 'M3 8h3.2m0 0L11 3.5h2M6.2 8 11 12.5h2M6.2 8H13',
  dead: 'M3 4.5h10v8.7H3zM1.8 2.5h12.4v2H1.8zM6 7.5h4',
  alerts: 'M8 2.2a4 4 0 0 0-4 4v3L2.6 11.6h10.8L12 9.2v-3a4 4 0 0 0-4-4zM6.6 13.6h2.8',
  routing: 'M2.5 4h4l3 8h4M2.5 12h4l1-2.7M9.5 4h4M11.8 2.2 13.6 4l-1.8 1.8M11.8 10.2l1.8 1.8-1.8 1.8',
  schedules: 'M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM8 4.8V8l2.3 1.6',
  journal: 'M3.5 2.5h9v11h-9zM6 5.5h4M6 8h4M6 10.5h2.5',
  users: 'M8 8a2.6 2.6 0 1 0 0-5.2A2.6 2.6 0 0 0 8 8zM2.8 13.6c.6-2.4 2.6-3.6 5.2-3.6s4.6 1.2 5.2 3.6',
  connections:
    'M5.5 10.5 10.5 5.5M4 8.5 2.8 9.7a2.5 2.5 0 0 0 3.5 3.5L7.5 12M8.5 4l1.2-1.2a2.5 2.5 0 0 1 3.5 3.5L12 7.5',
  settings: 'M2.5 4.5h6M11.5 4.5h2M2.5 11.5h2M7.5 11.5h6M10 3v3M6 10v3',
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 16 16" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
