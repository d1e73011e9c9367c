/** What did not work, read out by a screen reader as it comes; nothing while it is empty. */
export function Failure({ text }: { text: string }) {
  if (text === '') return null;
  return (
    <p class="failure" role="alert">
      {text}
    </p>
  );
}
