/**
 * `railhead/server`: a broker with its protocols, started from code.
 *
 * @module
 */
export type { RunningServer, ServerOptions } from './running-server.ts';
export { startServer } from './server.ts';
export type { ServerConfig, ServerConfigInput, UserConfig } from './settings.ts';
export { RailheadError, type ErrorCode } from '../core/errors.ts';
