import type { Fleet } from './fleet.ts';
import type { PackageName } from './parts/packages.ts';
import type { Screen } from './screen.ts';

/** What a chapter has to work with. All of it is its own. */
export interface Stage {
  readonly screen: Screen;
  readonly fleet: Fleet;
  /** An empty directory, removed after the chapter. */
  readonly dir: string;
  /** Something that has to be true, shown with what was seen. The lab fails when it is not. */
  readonly check: (claim: string, holds: boolean, seen?: string) => void;
  /** Called after the chapter, however it ended, before the processes are stopped. Last one first. */
  readonly after: (close: () => unknown) => void;
}

export interface Chapter {
  readonly title: string;
  /** What it cannot be run without. */
  readonly needs: readonly PackageName[];
  load(): Promise<(stage: Stage) => Promise<void>>;
}
