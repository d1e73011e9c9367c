/** Namespaces as RabbitMQ names them: its virtual host `/` is the namespace `default`, every other has its own name. */
const DEFAULT_VHOST = '/';
const DEFAULT_NAMESPACE = 'default';

export function toNamespace(vhost: string): string {
  return vhost === DEFAULT_VHOST ? DEFAULT_NAMESPACE : vhost;
}

export function toVhost(namespace: string): string {
  return namespace === DEFAULT_NAMESPACE ? DEFAULT_VHOST : namespace;
}
