/** Text as XML can have it: the older clients are answered in it, whoever has written what they read. */

/** Whether XML has all of its characters. */
export function fitsXml(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code >= 0x20 && code < 0xd800) continue;
    if (code === 0x9 || code === 0xa || code === 0xd || (code >= 0xe000 && code <= 0xfffd)) continue;
    const next = text.charCodeAt(i + 1);
    if (!(code >= 0xd800 && code < 0xdc00 && next >= 0xdc00 && next < 0xe000)) return false;
    i++;
  }
  return true;
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  '\r': '&#xD;',
};

/**
 * A line feed stays, a carriage return would become one when it is read. A character that XML has not, as in a tag that
 * came in JSON, is shown as the one for those that cannot be shown: with it the whole answer would be none.
 */
export function escapeXml(text: string): string {
  const shown = fitsXml(text) ? text : Array.from(text, (each) => (fitsXml(each) ? each : '\ufffd')).join('');
  return shown.replaceAll(/[&<>"\r]/g, (character) => ESCAPES[character] ?? character);
}
