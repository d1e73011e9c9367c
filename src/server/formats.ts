import { native, type RecordFormat } from '../engine/formats.ts';
import { amqpFormat } from '../gateways/amqp/content.ts';
import { sqsFormat } from '../gateways/aws/content.ts';
import { kafkaFormat } from '../gateways/kafka/content.ts';

/** Of every protocol whose records may be in a journal, spoken or not: what was stored can always be read. */
export const RECORD_FORMATS: readonly RecordFormat[] = [amqpFormat, sqsFormat, kafkaFormat];

/** With the engine's own, for gateways that give out what any of them has published. */
export const ALL_FORMATS: readonly RecordFormat[] = [native, ...RECORD_FORMATS];
