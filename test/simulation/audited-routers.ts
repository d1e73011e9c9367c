import type { BindingDefinition } from '../../src/core/definitions.ts';
import type { OtherEntry } from '../../src/engine/entries.ts';

type RouterEntry = Extract<OtherEntry, { type: 'router' | 'routerGone' | 'bind' | 'unbind' }>;

/** Routers as the entries tell of them: enough to say where a dead letter goes by its key. */
export class AuditedRouters {
  readonly #routers = new Map<string, { readonly everything: boolean; bindings: BindingDefinition[] }>();

  clear(): void {
    this.#routers.clear();
  }

  note(entry: RouterEntry): void {
    switch (entry.type) {
      case 'router':
        this.#routers.set(entry.name, { everything: entry.routerType === 'fanout', bindings: [] });
        return;
      case 'routerGone':
        this.#routers.delete(entry.name);
        return;
      case 'bind':
        this.#routers.get(entry.router)?.bindings.push(entry.binding);
        return;
      case 'unbind': {
        const router = this.#routers.get(entry.router);
        const gone = JSON.stringify(entry.binding);
        if (router !== undefined)
          router.bindings = router.bindings.filter((binding) => JSON.stringify(binding) !== gone);
      }
    }
  }

  /** Whether some binding of a fanout or direct router takes a message with this key. */
  takes(name: string, key: string): boolean {
    const router = this.#routers.get(name);
    return router?.bindings.some((binding) => router.everything || binding.key === key) ?? false;
  }
}
