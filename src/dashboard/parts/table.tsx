import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { ComponentChildren } from 'preact';

export interface Column<T> {
  key: string;
  title: string;
  of: (row: T) => ComponentChildren;
  /** Sorted by this; without it not at all. */
  by?: (row: T) => number | string;
  number?: boolean;
  /** Width as a track of a CSS grid. */
  width: string;
  /** Not on a phone. */
  wide?: boolean;
}

export interface Sorting {
  key: string;
  down: boolean;
}

export interface TableProps<T> {
  label: string;
  columns: readonly Column<T>[];
  rows: readonly T[];
  keyOf: (row: T) => string;
  sorting: Sorting;
  onSort: (sorting: Sorting) => void;
  empty: ComponentChildren;
}

const ROW_HEIGHT = 40;
/** Drawn above and below what is seen, so that scrolling finds them there. */
const MORE = 8;

/** A table of any length: only the rows that can be seen are there. */
export function Table<T>({ label, columns, rows, keyOf, sorting, onSort, empty }: TableProps<T>) {
  const scroller = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 800 });
  const [narrow, setNarrow] = useState(matchMedia('(max-width: 720px)').matches);

  useLayoutEffect(() => {
    const element = scroller.current;
    if (element === null) return;
    const measure = (): void => setView({ top: element.scrollTop, height: element.clientHeight });
    const query = matchMedia('(max-width: 720px)');
    const resized = new ResizeObserver(measure);
    const turned = (): void => setNarrow(query.matches);
    resized.observe(element);
    element.addEventListener('scroll', measure, { passive: true });
    query.addEventListener('change', turned);
    return () => {
      resized.disconnect();
      element.removeEventListener('scroll', measure);
      query.removeEventListener('change', turned);
    };
  }, []);

  const shown = columns.filter(({ wide }) => !(narrow && wide === true));
  const first = Math.max(0, Math.floor(view.top / ROW_HEIGHT) - MORE);
  const last = Math.min(rows.length, Math.ceil((view.top + view.height) / ROW_HEIGHT) + MORE);
  const tracks = { gridTemplateColumns: shown.map(({ width }) => width).join(' ') };
  return (
    <div
      ref={scroller}
      class="table"
      role="table"
      tabIndex={0}
      aria-label={label}
      aria-rowcount={rows.length + 1}
      aria-colcount={shown.length}
    >
      <div role="rowgroup" class="table-head">
        <div class="table-row" role="row" aria-rowindex={1} style={tracks}>
          {shown.map((column) => (
            <Heading key={column.key} column={column} sorting={sorting} onSort={onSort} />
          ))}
        </div>
      </div>
      {rows.length === 0 && (
        <div class="empty" role="row">
          <div role="cell">{empty}</div>
        </div>
      )}
      <div class="table-space" role="rowgroup" style={{ height: `${rows.length * ROW_HEIGHT}px` }}>
        {rows.slice(first, last).map((row, index) => (
          <div
            key={keyOf(row)}
            class="table-row"
            role="row"
            aria-rowindex={first + index + 2}
            style={{ ...tracks, transform: `translateY(${(first + index) * ROW_HEIGHT}px)` }}
          >
            {shown.map((column) => (
              <div key={column.key} role="cell" class={column.number ? 'cell number' : 'cell'}>
                {column.of(row)}
              </div>
            ))}
          </div>
        ))}
      </div>
    </div>
  );
}

function Heading<T>({ column, sorting, onSort }: { column: Column<T> } & Pick<TableProps<T>, 'sorting' | 'onSort'>) {
  const { key, title, by, number } = column;
  const active = sorting.key === key;
  const style = number ? 'cell number' : 'cell';
  if (by === undefined)
    return (
      <div role="columnheader" class={style}>
        {title}
      </div>
    );
  return (
    <div role="columnheader" class={style} aria-sort={!active ? 'none' : sorting.down ? 'descending' : 'ascending'}>
      <button type="button" onClick={() => onSort({ key, down: active ? !sorting.down : number === true })}>
        {title}
        <span class="sort" aria-hidden="true">
          {!active ? '' : sorting.down ? '↓' : '↑'}
        </span>
      </button>
    </div>
  );
}

export function sorted<T>(rows: readonly T[], columns: readonly Column<T>[], { key, down }: Sorting): T[] {
  const by = columns.find((column) => column.key === key)?.by;
  if (by === undefined) return [...rows];
  const sign = down ? -1 : 1;
  return rows.toSorted((a, b) => {
    const left = by(a);
    const right = by(b);
    return left < right ? -sign : left > right ? sign : 0;
  });
}
