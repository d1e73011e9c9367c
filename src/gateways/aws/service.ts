import type { Principal } from '../../core/auth.ts';
import type { DoorRequest } from './door.ts';
import type { Input } from './json.ts';
import type { ServiceModel } from './model.ts';

/** Who asks, and from where. */
export interface Caller {
  readonly principal: Principal;
  /** `none`: nobody has to log in, and nobody is kept out of anything. */
  readonly login: 'required' | 'none';
  /** Who that is, where a policy has made `principal` of it: what it may do elsewhere. */
  readonly asker?: Principal;
  readonly account: string;
  readonly region: string;
  /** By which it reached us, for the URLs that it is given: `http://localhost:4566`. */
  readonly origin: string;
  /** Of the request. Old clients put the queue there. */
  readonly path: string;
  /** As HTTP brought it: what policies ask for. */
  readonly request: Pick<DoorRequest, 'address' | 'secure' | 'headers'>;
  readonly requestId: string;
  /** Calls back when it goes away before it has its answer. Returns what undoes that. */
  onGone(callback: () => void): () => void;
}

/** SQS or SNS: what its actions do. */
export interface AwsService {
  readonly name: 'sqs' | 'sns';
  readonly model: ServiceModel;
  /** Of its XML, and in `Version` of its forms. */
  readonly version: string;
  readonly xmlns: string;
  /** In `X-Amz-Target`, and before the names of its errors. */
  readonly target: string;
  readonly errorPrefix: string;
  /** The result of an action of the model. */
  run(action: string, input: Input, caller: Caller): Promise<object>;
  /** Goes on with what these namespaces had under way when the broker stopped. */
  resume(namespaces: readonly string[]): Promise<void>;
  /** All that the broker had was deleted. */
  forget(): void;
  close(): Promise<void>;
}
