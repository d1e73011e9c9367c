import { connection } from '../live.ts';

/** Before the first look. */
export function Waiting() {
  const { value } = connection;
  return (
    <div class="empty" role="status">
      <p>{value.state === 'lost' ? value.why : 'Asking the broker…'}</p>
    </div>
  );
}
