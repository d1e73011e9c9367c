import type { RecordFormat } from '../engine/formats.ts';
import { amqpFormat } from '../gateways/amqp/content.ts';

/** Of every protocol whose records may be in a journal, spoken or not: what was stored can always be read. */
export const RECORD_FORMATS: readonly RecordFormat[] = [amqpFormat];
