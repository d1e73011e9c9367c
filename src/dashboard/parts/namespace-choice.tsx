import { apiPath, namespace, recognise, store } from '../api.ts';
import { link } from '../model/place.ts';
import { useFetched } from './fetched.ts';
import { attempt } from './toasts.tsx';

/** Everything on the pages is of one namespace; where there are several, here is which. */
export function NamespaceChoice() {
  const { value, again } = useFetched<{ namespaces: string[] }>(apiPath('namespaces'));
  const now = namespace.value;
  const all = [...new Set([...(value?.namespaces ?? ['default']), now])].sort();
  const choose = async (name: string): Promise<void> => {
    namespace.value = name;
    store('namespace', name);
    // What was looked at is not in the other one.
    location.hash = link();
    // What somebody may do may be another thing there.
    await recognise();
  };
  return (
    <label class="namespace">
      Namespace
      <select
        value={now}
        onFocus={again}
        onChange={(event) => {
          const { value: name } = event.currentTarget;
          attempt(() => choose(name));
        }}
      >
        {all.map((name) => (
          <option key={name} value={name} selected={name === now}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}
