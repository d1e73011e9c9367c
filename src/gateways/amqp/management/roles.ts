import { ADMINISTRATOR, SYSTEM_NAMESPACE } from '../../../core/access.ts';
import { isAuthorized, mayUse, type Principal } from '../../../core/auth.ts';
import { toVhost } from '../../../core/vhosts.ts';
import { POLICY_DOCUMENT } from '../../policies.ts';
import { notAuthorized } from './errors.ts';

/** As RabbitMQ's tags have it: each may do what those before it may. */
const MONITORING = 'monitoring';
const POLICYMAKER = 'policymaker';
const MANAGEMENT = 'management';

/**
 * What somebody may see and change here. Stored users have RabbitMQ's tags; those of the config file and whoever uses a
 * broker that wants no login are what their grants make them.
 */
export class Access {
  readonly principal: Principal;
  readonly administrator: boolean;
  /** Sees every virtual host, connection and node. */
  readonly monitoring: boolean;

  constructor(principal: Principal) {
    this.principal = principal;
    this.administrator = isAuthorized(principal, 'admin', { namespace: SYSTEM_NAMESPACE, kind: 'document', name: '' });
    this.monitoring = this.administrator || this.#has(MONITORING);
  }

  get tags(): readonly string[] {
    if (this.principal.tags !== undefined) return this.principal.tags;
    return [this.administrator ? ADMINISTRATOR : MANAGEMENT];
  }

  #has(tag: string): boolean {
    return this.principal.tags?.includes(tag) === true;
  }

  /** @throws not_authorized for who may not be here at all */
  assertManager(): void {
    const some = this.monitoring || this.#has(POLICYMAKER) || this.#has(MANAGEMENT);
    if (!some && (this.principal.tags !== undefined || this.principal.grants.length === 0))
      throw notAuthorized('Not management user');
  }

  /** @throws not_authorized */
  assertAdministrator(): void {
    if (!this.administrator) throw notAuthorized('Not administrator user');
  }

  assertMonitoring(): void {
    if (!this.monitoring) throw notAuthorized('Not monitor user');
  }

  /** Policies of a namespace may be changed. */
  assertPolicymaker(namespace: string): void {
    const granted = isAuthorized(this.principal, 'admin', { namespace, kind: 'document', name: POLICY_DOCUMENT });
    if (granted || (this.#has(POLICYMAKER) && mayUse(this.principal, namespace))) return;
    throw notAuthorized('Not policymaker user');
  }

  sees(namespace: string): boolean {
    return namespace !== SYSTEM_NAMESPACE && (this.monitoring || mayUse(this.principal, namespace));
  }

  assertSees(namespace: string): void {
    if (!this.sees(namespace))
      throw notAuthorized(`User not authorised to access virtual host '${toVhost(namespace)}'`);
  }

  /** Whether somebody else's connection may be seen or closed. */
  seesConnectionOf(user: string): boolean {
    return this.monitoring || user === this.principal.name;
  }
}
