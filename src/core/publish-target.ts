/** Where a publish goes: a topic or queue by name, or what a router says of its routing keys. */
export type PublishTarget = { topic: string } | RoutedTo;

export interface RoutedTo {
  router: string;
  key: string;
  /** Further routing keys: it goes wherever any of them leads, to each topic once. */
  also?: readonly string[];
}

/** The router that is always there and cannot be declared: a routing key is the name of a topic or queue. */
export const DEFAULT_ROUTER = '';

export function routingKeys({ key, also = [] }: RoutedTo): readonly string[] {
  return [key, ...also];
}
