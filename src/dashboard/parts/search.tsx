export interface SearchProps {
  label: string;
  value: string;
  onInput: (value: string) => void;
}

export function Search({ label, value, onInput }: SearchProps) {
  return (
    <input
      type="search"
      aria-label={label}
      placeholder="Search"
      value={value}
      onInput={(event) => onInput(event.currentTarget.value)}
    />
  );
}

export interface FilterProps {
  label: string;
  of: readonly (readonly [value: string, title: string, ...rest: unknown[]])[];
  chosen: string;
  hrefOf: (value: string) => string;
}

/** Links, so that what is filtered can be bookmarked and sent to somebody. */
export function Filter({ label, of, chosen, hrefOf }: FilterProps) {
  return (
    <nav class="choice" aria-label={label}>
      {of.map(([value, title]) => (
        <a key={value} href={hrefOf(value)} aria-current={value === chosen ? 'true' : undefined}>
          {title}
        </a>
      ))}
    </nav>
  );
}
