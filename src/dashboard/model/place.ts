/** Where the page is: kept in the part of the address that no server sees, so that any base path will do. */
export interface Place {
  /** `['queues', 'orders']`; names as they are. */
  path: string[];
  query: URLSearchParams;
}

export function parsePlace(hash: string): Place {
  const [path = '', query = ''] = hash.replace(/^#?\/?/, '').split('?', 2);
  return {
    path: path.split('/').flatMap((part) => (part === '' ? [] : [decode(part)])),
    query: new URLSearchParams(query),
  };
}

/** A link to a page. */
export function link(...path: string[]): string {
  return `#/${path.map(encodeURIComponent).join('/')}`;
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
