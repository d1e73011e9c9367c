import { randomUUID } from 'node:crypto';
import type { Duplex } from 'node:stream';
import type { Authenticator, Principal } from '../../core/auth.ts';
import type { Clock } from '../../core/clock.ts';
import { RailheadError } from '../../core/errors.ts';
import type { RecordFormat } from '../../engine/formats.ts';
import { guardBrowser } from '../browser-guard.ts';
import type { Gateway, GatewayConnection, Peer } from '../gateway.ts';
import { type Connect, SessionCache } from '../session-cache.ts';
import { AwsDoor, type DoorAnswer, type DoorRequest } from './door.ts';
import { answerOf, AwsError } from './errors.ts';
import { type Decoder, type Input, jsonDecoder } from './json.ts';
import type { ActionModel } from './model.ts';
import { DEFAULT_ACCOUNT, DEFAULT_REGION, isAccount } from './names.ts';
import { decodeQuery, encodeXml, parseParameters, type Parameters } from './query.ts';
import type { AwsService, Caller } from './service.ts';
import { signedBy } from './signature.ts';
import { SnsService } from './sns/service.ts';
import { SqsService } from './sqs/service.ts';
import { escapeXml } from './xml.ts';

export interface AwsGatewayOptions {
  connect: Connect;
  authenticator: Authenticator;
  /** Of the broker: for waits and for what a message says of its time. */
  clock: Clock;
  /** Of the broker's journal: ids are made with it. */
  journalId: string;
  /** Of all protocols: a message may have been published over any. */
  formats: readonly RecordFormat[];
  /** Largest body of one request, and of all requests together, in bytes. */
  maxBodyBytes: number;
  maxMemoryBytes: number;
  /** How much a client may ask for: as with Amazon, or as much as there is. */
  limits: 'strict' | 'relaxed';
  /** Where SNS may post to. */
  webhooks: 'public' | 'any';
  /** What SNS would send to phones and by mail is kept to be looked at. Left out, it is refused. */
  inbox?: 'kept';
  /** More names that the Host header may have. */
  allowedHosts: readonly string[];
  /** A failure that is a bug of ours, for the log. */
  onBug: (error: unknown) => void;
}

/** What was asked for, in either form. */
interface Call {
  service: AwsService;
  form: 'json' | 'query';
  action: string;
  parameters: Parameters;
}

/** Of what a client says of itself. */
const MAX_REMEMBERED = 1_000;
const MAX_SCOPE = 200;

const JSON_TYPE = 'application/x-amz-json-1.0';

/** SQS and SNS as Amazon's clients speak them, over JSON and over forms. */
export class AwsGateway implements Gateway {
  readonly #options: AwsGatewayOptions;
  readonly #sessions: SessionCache;
  readonly #sns: SnsService;
  readonly #services: readonly AwsService[];
  /** What each `X-Amz-Target` asks for. */
  readonly #byTarget: ReadonlyMap<string, Partial<Call>>;
  readonly #decoders = new Map<ActionModel, Decoder>();
  readonly #door: AwsDoor;
  /** Who everybody is, as long as nobody has to log in. */
  #anybody: Principal | undefined;
  /** Host headers that were looked at and are good. */
  readonly #goodHosts = new Set<string>();
  /** What was read of credential scopes, which are those of the request before as a rule. */
  readonly #credentials = new Map<string, Credential>();

  constructor(options: AwsGatewayOptions) {
    this.#options = options;
    this.#sessions = new SessionCache(options.connect, 'aws');
    const parts = { ...options, sessions: this.#sessions };
    this.#sns = new SnsService(parts);
    this.#services = [new SqsService(parts), this.#sns];
    this.#byTarget = new Map(
      this.#services.flatMap((service) =>
        [...service.model.actions.keys()].map((action): [string, Partial<Call>] => [
          `${service.target}.${action}`,
          { form: 'json', service, action },
        ]),
      ),
    );
    this.#door = new AwsDoor({
      answer: (request) => this.#answer(request),
      refuse: (error, request) => this.#failure(error, this.#callOf(request, new Map()), randomUUID()),
      maxBodyBytes: options.maxBodyBytes,
      maxMemoryBytes: options.maxMemoryBytes,
      onBug: options.onBug,
    });
  }

  /** Goes on with what the broker had to deliver when it stopped. */
  async resume(namespaces: Iterable<string>): Promise<void> {
    const all = [...namespaces];
    for (const service of this.#services) await service.resume(all);
  }

  /** In a test the broker has crashed, and another one has what it had; in a process of its own this is a new start. */
  recovered(namespaces: Iterable<string>): Promise<void> {
    return this.#sns.recovered(namespaces);
  }

  /** All that the broker had was deleted, in a test. */
  forget(): void {
    for (const service of this.#services) service.forget();
  }

  handle(socket: Duplex, peer: Peer): GatewayConnection {
    return this.#door.handle(socket, peer);
  }

  /** Ends long polls with what they have, and waits for what is under way. */
  async close(): Promise<void> {
    await Promise.all([this.#door.close(), ...this.#services.map((service) => service.close())]);
    await this.#sessions.close();
  }

  async #answer(request: DoorRequest): Promise<DoorAnswer> {
    const requestId = randomUUID();
    let call: Partial<Call> = {};
    try {
      this.#guard(request.header('host'), request.header('origin'));
      // Whoever was sent a message may verify it, logged in or not.
      const certificate = request.method === 'GET' ? await this.#sns.certificateAt(request.url) : undefined;
      if (certificate !== undefined) return answer(200, 'application/x-pem-file', requestId, certificate);
      const mail = this.#sns.inboxAnswer(request.method, request.url);
      if (mail !== undefined) return answer(200, 'application/json', requestId, mail);
      const parameters = parametersOf(request);
      call = this.#callOf(request, parameters.parts);
      const { service, action, form } = call;
      if (service === undefined || action === undefined)
        throw new AwsError('MissingAction', 'The request names no action of SQS or SNS.');
      const login = this.#options.authenticator.required ? 'required' : 'none';
      const principal =
        login === 'required' ? await this.#login(request, service, action) : (this.#anybody ?? (await this.#anyone()));
      if (principal !== NOBODY) request.letIn();
      const model = service.model.actions.get(action);
      if (model === undefined) {
        if (service.model.refused.has(action))
          throw new AwsError('UnsupportedOperation', `${action} is not supported by this broker.`);
        throw new AwsError('InvalidAction', `There is no action ${JSON.stringify(action.slice(0, 100))}.`);
      }
      const caller = this.#callerOf(request, parameters.parts, { principal, login }, requestId);
      const input: Input =
        form === 'json'
          ? this.#decoderOf(model)(request.text())
          : decodeQuery(withQueueOf(parameters, request.url), model.input);
      const output = await service.run(action, input, caller);
      if (form === 'json')
        return answer(200, JSON_TYPE, requestId, model.output === null ? '' : JSON.stringify(output));
      const inside = model.output === null ? '' : encodeXml(output, model.output);
      const result = model.output === null ? '' : `<${action}Result>${inside}</${action}Result>`;
      const xml = `<?xml version="1.0"?><${action}Response xmlns="${service.xmlns}">${result}<ResponseMetadata><RequestId>${requestId}</RequestId></ResponseMetadata></${action}Response>`;
      return answer(200, 'text/xml', requestId, xml);
    } catch (error) {
      // What is refused before it is read is answered in its form as well.
      const known = call.form === undefined ? this.#callOf(request, new Map()) : call;
      return this.#failure(error, known, requestId);
    }
  }

  #failure(error: unknown, { service, form }: Partial<Call>, requestId: string): DoorAnswer {
    const { error: name, code, message, status, type } = answerOf(error, service?.model, this.#options.onBug);
    if (form === 'json') {
      const body = JSON.stringify({ __type: `${service?.errorPrefix ?? ''}${name}`, message });
      return answer(status, JSON_TYPE, requestId, body, ['x-amzn-query-error', `${code};${type}`]);
    }
    const xmlns = service === undefined ? '' : ` xmlns="${service.xmlns}"`;
    const xml = `<?xml version="1.0"?><ErrorResponse${xmlns}><Error><Type>${type}</Type><Code>${escapeXml(code)}</Code><Message>${escapeXml(message)}</Message><Detail/></Error><RequestId>${requestId}</RequestId></ErrorResponse>`;
    return answer(status, 'text/xml', requestId, xml);
  }

  /** @throws FORBIDDEN for what a page in a browser sends */
  #guard(host: string | undefined, origin: string | undefined): void {
    if (origin === undefined && host !== undefined && this.#goodHosts.has(host)) return;
    const { allowedHosts, authenticator } = this.#options;
    guardBrowser({ host, origin }, { allowedHosts, loginRequired: authenticator.required });
    if (host !== undefined && this.#goodHosts.size < MAX_REMEMBERED) this.#goodHosts.add(host);
  }

  #decoderOf(action: ActionModel): Decoder {
    let decoder = this.#decoders.get(action);
    if (decoder === undefined) this.#decoders.set(action, (decoder = jsonDecoder(action.input)));
    return decoder;
  }

  /** The header says it for JSON; in a form it is a parameter, and both services have some of the same name. */
  #callOf(request: Pick<DoorRequest, 'header'>, parts: ReadonlyMap<string, Parameters>): Partial<Call> {
    const target = request.header('x-amz-target');
    if (target !== undefined) {
      const known = this.#byTarget.get(target);
      if (known !== undefined) return known;
      const service = this.#services.find((each) => target.startsWith(`${each.target}.`));
      if (service === undefined) return { form: 'json' };
      return { form: 'json', service, action: target.slice(service.target.length + 1) };
    }
    const action = parts.get('Action')?.value;
    const version = parts.get('Version')?.value;
    const scope = this.#credentialOf(request, parts)?.service;
    const service =
      this.#services.find((each) => each.version === version) ??
      this.#services.find((each) => each.name === scope) ??
      this.#services.find((each) => action !== undefined && each.model.actions.has(action));
    return { form: 'query', ...(service !== undefined && { service }), ...(action !== undefined && { action }) };
  }

  #callerOf(
    request: DoorRequest,
    parts: ReadonlyMap<string, Parameters>,
    { principal, login }: Pick<Caller, 'principal' | 'login'>,
    requestId: string,
  ): Caller {
    const credential = this.#credentialOf(request, parts);
    return {
      principal,
      login,
      account: credential?.account ?? DEFAULT_ACCOUNT,
      region: credential?.region ?? DEFAULT_REGION,
      origin: `${request.secure ? 'https' : 'http'}://${request.header('host') ?? 'localhost'}`,
      path: pathOf(request.url),
      request,
      requestId,
      onGone: (callback) => request.onGone(callback),
    };
  }

  #credentialOf(request: Pick<DoorRequest, 'header'>, parts: ReadonlyMap<string, Parameters>): Credential | undefined {
    const scope = scopeIn(request.header('authorization') ?? '') ?? parts.get('X-Amz-Credential')?.value;
    if (scope === undefined) return undefined;
    const known = this.#credentials.get(scope);
    if (known !== undefined) return known;
    const credential = parseCredential(scope);
    if (this.#credentials.size >= MAX_REMEMBERED) this.#credentials.clear();
    if (credential !== undefined && scope.length <= MAX_SCOPE) this.#credentials.set(scope, credential);
    return credential;
  }

  /** Without logins nobody looks at signatures, and every key is let in. */
  async #anyone(): Promise<Principal> {
    return (this.#anybody = await this.#options.authenticator.authenticate(undefined));
  }

  async #login(request: DoorRequest, { name }: AwsService, action: string): Promise<Principal> {
    const { authenticator, clock } = this.#options;
    const credentials = signedBy(request, name, clock.now());
    // An endpoint that confirms has no key, only the token that it was sent.
    if (credentials === undefined && name === 'sns' && action === 'ConfirmSubscription') return NOBODY;
    if (credentials === undefined)
      throw new AwsError(
        'MissingAuthenticationToken',
        'This broker wants a login. Sign with an access key of it.',
        403,
      );
    try {
      return await authenticator.authenticate(credentials, request.origin);
    } catch (error) {
      throw RailheadError.is(error, 'RATE_LIMITED') ? new AwsError('ThrottlingException', error.message) : error;
    }
  }
}

/** May nothing. */
const NOBODY: Principal = { name: 'nobody', grants: [] };

interface Credential {
  account: string;
  region: string;
  service: string;
}

/** `KEY/20260101/us-east-1/sqs/aws4_request`, which every client sends, signed or not. */
function parseCredential(scope: string): Credential | undefined {
  const [key, , region, service, end] = scope.split('/');
  if (key === undefined || region === undefined || service === undefined || end !== 'aws4_request') return undefined;
  const account = isAccount(key) ? key : DEFAULT_ACCOUNT;
  return { account, region: /^[a-z0-9-]{1,32}$/.test(region) ? region : DEFAULT_REGION, service };
}

const CREDENTIAL = 'Credential=';

function scopeIn(authorization: string): string | undefined {
  const at = authorization.indexOf(CREDENTIAL);
  if (at < 0) return undefined;
  const comma = authorization.indexOf(',', at);
  const scope = authorization.slice(at + CREDENTIAL.length, comma < 0 ? undefined : comma);
  const space = scope.indexOf(' ');
  return space < 0 ? scope : scope.slice(0, space);
}

function pathOf(url: string): string {
  const end = url.indexOf('?');
  return end < 0 ? url : url.slice(0, end);
}

function parametersIn(url: string): Parameters {
  return parseParameters(url.includes('?') ? url.slice(url.indexOf('?') + 1) : '');
}

/** Of a request in JSON. */
const NO_PARAMETERS: Parameters = { parts: new Map() };

function parametersOf(request: DoorRequest): Parameters {
  const { method, url } = request;
  const target = request.header('x-amz-target');
  if (target !== undefined && !url.includes('?')) return NO_PARAMETERS;
  const parameters = parametersIn(url);
  const type = request.header('content-type') ?? '';
  if (method !== 'POST' || target !== undefined) return parameters;
  if (/^application\/x-www-form-urlencoded/i.test(type) || type === '')
    return parseParameters(request.text(), parameters);
  throw new AwsError('InvalidAction', `The Content-Type is ${JSON.stringify(type.slice(0, 100))}.`);
}

/** Old clients post to the URL of the queue and name it nowhere else. */
function withQueueOf(parameters: Parameters, url: string): Parameters {
  const path = pathOf(url);
  if (path !== '/' && !parameters.parts.has('QueueUrl'))
    parameters.parts.set('QueueUrl', { value: path, parts: new Map() });
  return parameters;
}

function answer(
  status: number,
  type: string,
  requestId: string,
  body: string,
  more: readonly string[] = [],
): DoorAnswer {
  return { status, headers: ['Content-Type', type, 'x-amzn-RequestId', requestId, ...more], body };
}
