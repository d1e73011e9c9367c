import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { theme } from './theme.ts';

export interface Series {
  label: string;
  /** Name of a colour of the style sheet: `--blue`. */
  color: string;
  values: readonly (number | null)[];
}

export interface ChartProps {
  title: string;
  /** What it is now, in words. */
  now: string;
  hint?: string;
  /** ms. */
  at: readonly number[];
  series: readonly Series[];
  format: (value: number) => string;
  /** The values are bytes. */
  binary?: boolean;
  height?: number;
}

const MAX_SPAN_MS = 3_600_000;
const MIN_SPAN_MS = 60_000;
/** Of a time below the chart, px. */
const HALF_LABEL = 22;
/** Steps of an axis of bytes: powers of two, so that they are round in MiB. */
const BYTE_STEPS = Array.from({ length: 50 }, (_, power) => 2 ** power);

/** A line over the last hour, with its newest value in words: those are what a screen reader reads. */
export function Chart({ title, now, hint, at, series, format, binary = false, height = 112 }: ChartProps) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const shape = series.map(({ label }) => label).join('\n');
  const dark = theme.value;

  useEffect(() => {
    const element = place.current;
    if (element === null) return;
    const drawn = new uPlot(optionsOf(element, series, { format, binary, height }), [[]], element);
    plot.current = drawn;
    const resized = new ResizeObserver(() => drawn.setSize({ width: element.clientWidth, height }));
    resized.observe(element);
    return () => {
      resized.disconnect();
      drawn.destroy();
      plot.current = null;
    };
    // Drawn anew only for other lines or another theme; new values come in below.
  }, [shape, dark, height]);

  useEffect(() => {
    const last = at.at(-1) ?? Date.now();
    plot.current?.setData([at.map((ms) => ms / 1000), ...series.map(({ values }) => [...values])], false);
    const span = Math.min(MAX_SPAN_MS, Math.max(MIN_SPAN_MS, last - (at[0] ?? last)));
    plot.current?.setScale('x', { min: (last - span) / 1000, max: last / 1000 });
  });

  return (
    <figure class="chart">
      <figcaption>
        <span class="chart-title">{title}</span>
        <span class="chart-now">{now}</span>
        {series.length > 1 && (
          <span class="chart-key">
            {series.map(({ label, color }) => (
              <span key={label}>
                <i class={`swatch ${color.slice(2)}`} />
                {label}
              </span>
            ))}
          </span>
        )}
        {hint !== undefined && series.length <= 1 && <span class="chart-hint">{hint}</span>}
      </figcaption>
      <div ref={place} class="chart-plot" aria-hidden="true" />
    </figure>
  );
}

/** A label so near to the right edge would lose its end. */
function isCut(plot: uPlot, seconds: number): boolean {
  return plot.valToPos(seconds, 'x') > plot.bbox.width / uPlot.pxRatio - HALF_LABEL;
}

function optionsOf(
  element: HTMLElement,
  series: readonly Series[],
  { format, binary, height }: { format: (value: number) => string; binary: boolean; height: number },
): uPlot.Options {
  const color = (name: string): string => resolved(element, name);
  const grid = color('--line');
  const faint = color('--muted');
  const font = `11px ${getComputedStyle(element).fontFamily}`;
  return {
    width: Math.max(element.clientWidth, 50),
    height,
    padding: [8, 4, 0, 0],
    legend: { show: false },
    cursor: { show: false },
    scales: { x: { time: true }, y: { range: (_plot, _min, max) => [0, max > 0 ? max * 1.15 : 1] } },
    axes: [
      {
        stroke: faint,
        font,
        size: 22,
        gap: 4,
        grid: { show: false },
        ticks: { show: false },
        space: 90,
        values: (plot, ticks, _axis, _space, step) =>
          ticks.map((seconds) => (isCut(plot, seconds) ? '' : clock(seconds, step))),
      },
      {
        stroke: faint,
        font,
        size: 54,
        gap: 6,
        ...(binary && { incrs: BYTE_STEPS }),
        grid: { stroke: grid, width: 1 },
        ticks: { show: false },
        space: 34,
        values: (_plot, ticks) => ticks.map((value) => (value === 0 ? '0' : format(value))),
      },
    ],
    series: [
      {},
      ...series.map(({ label, color: name }, index) => ({
        label,
        stroke: color(name),
        width: 1.5,
        points: { show: false },
        ...(index === 0 && { fill: faded(color(name)) }),
      })),
    ],
  };
}

/** With seconds where the ticks are less than a minute apart. */
function clock(seconds: number, step: number): string {
  const shown = { hour: '2-digit', minute: '2-digit', hour12: false } as const;
  return new Date(seconds * 1000).toLocaleTimeString([], step < 60 ? { ...shown, second: '2-digit' } : shown);
}

/** A canvas knows no variables of a style sheet: asked of an element that has the colour. */
function resolved(element: HTMLElement, name: string): string {
  const probe = document.createElement('i');
  probe.style.color = `var(${name})`;
  element.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

function faded(color: string): string {
  return color.startsWith('rgb(') ? color.replace('rgb(', 'rgba(').replace(')', ', 0.10)') : 'transparent';
}
