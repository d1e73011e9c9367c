import type { ComponentChildren } from 'preact';

export function Facts({ children }: { children: ComponentChildren }) {
  return <dl class="facts">{children}</dl>;
}

export interface FactProps {
  title: string;
  value: ComponentChildren;
  hint?: string;
}

export function Fact({ title, value, hint }: FactProps) {
  return (
    <div>
      <dt>{title}</dt>
      <dd>
        {value}
        {hint !== undefined && <span class="fact-hint">{hint}</span>}
      </dd>
    </div>
  );
}
