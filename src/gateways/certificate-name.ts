import type { TLSSocket } from 'node:tls';

/** Where a client certificate says who it is: its common name, or the one alternative name of that kind. */
export type CertificateName = 'CN' | 'DNS' | 'URI' | 'email';

/**
 * Who the client is by its certificate; null without one. The listener has had it verified.
 *
 * @throws when it names nobody, or more than one
 */
export function certifiedName(socket: TLSSocket, from: CertificateName): string | null {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return null;
  // Verified against the authorities of `tls.clientCa`: one that is not counts as an attempt, not as none.
  if (!socket.authorized) throw new Error('the certificate is not of a trusted authority');
  const names = from === 'CN' ? commonNames(certificate.subject) : alternatives(certificate.subjectAltName ?? '', from);
  const [name] = names;
  if (name === undefined || names.length > 1) throw new Error(`the certificate does not have one ${from}`);
  return name;
}

/** One part of the name in a line; what is quoted there, or has several parts, is nobody's name. */
function commonNames(subject: string): string[] {
  return subject.split('\n').flatMap((line) => (line.startsWith('CN=') ? [line.slice('CN='.length)] : []));
}

/** `DNS:a.example, URI:spiffe://b`. One with a quote in it may hide a comma: then there is no name. */
function alternatives(text: string, kind: string): string[] {
  if (text.includes('"')) return [];
  return text.split(', ').flatMap((part) => (part.startsWith(`${kind}:`) ? [part.slice(kind.length + 1)] : []));
}
