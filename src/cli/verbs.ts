import type { Command } from 'commander';
import { fixYoungGeneration } from '../server/young-generation.ts';

/** A verb of the command line. Its file is loaded when it is used: `railhead --help` stays quick. */
export interface Verb {
  name: string;
  summary: string;
  load: () => Promise<{ configure: (command: Command) => void }>;
  /** Done before it is loaded, by the process that runs it. */
  prepare?: () => void;
}

export const VERBS: readonly Verb[] = [
  {
    name: 'serve',
    summary: 'run a broker (the default)',
    load: () => import('./commands/serve.ts'),
    // The heap is small yet, and loading the code makes enough objects for six collections.
    prepare: fixYoungGeneration,
  },
  {
    name: 'declare',
    summary: 'declare a queue, a topic or a subscription',
    load: () => import('./commands/declare.ts'),
  },
  { name: 'update', summary: 'change the policy of one that exists', load: () => import('./commands/update.ts') },
  {
    name: 'apply',
    summary: 'make queues, topics, routers and schedules what a file says',
    load: () => import('./commands/apply.ts'),
  },
  { name: 'export', summary: 'print such a file of what there is', load: () => import('./commands/export.ts') },
  { name: 'delete', summary: 'delete a queue, a topic or a subscription', load: () => import('./commands/delete.ts') },
  { name: 'send', summary: 'send messages', load: () => import('./commands/send.ts') },
  { name: 'receive', summary: 'take messages and acknowledge them', load: () => import('./commands/receive.ts') },
  { name: 'tail', summary: 'follow what is published, without consuming', load: () => import('./commands/tail.ts') },
  { name: 'ls', summary: 'list queues and topics with their counts', load: () => import('./commands/ls.ts') },
  {
    name: 'stats',
    summary: 'show the counts of a queue or topic, or of the broker',
    load: () => import('./commands/stats.ts'),
  },
  {
    name: 'cursors',
    summary: 'show how far readers by offset (consumer groups of Kafka) are, and their lag',
    load: () => import('./commands/cursors.ts'),
  },
  { name: 'top', summary: 'watch rates and depths live', load: () => import('./commands/top.ts') },
  { name: 'peek', summary: 'look at messages without taking them', load: () => import('./commands/peek.ts') },
  {
    name: 'schema',
    summary: 'say how bodies of Avro and Protobuf are read when people look at messages',
    load: () => import('./commands/schema.ts'),
  },
  { name: 'consumers', summary: 'list who consumes now', load: () => import('./commands/consumers.ts') },
  {
    name: 'connections',
    summary: 'list who is connected, over every protocol',
    load: () => import('./commands/connections.ts'),
  },
  {
    name: 'config',
    summary: 'show the configuration in force, and where each value comes from',
    load: () => import('./commands/config.ts'),
  },
  { name: 'namespaces', summary: 'list the namespaces in use', load: () => import('./commands/namespaces.ts') },
  {
    name: 'history',
    summary: 'show rates and depths of the last hour',
    load: () => import('./commands/history.ts'),
  },
  { name: 'purge', summary: 'remove all waiting messages', load: () => import('./commands/purge.ts') },
  { name: 'pause', summary: 'stop delivery', load: () => import('./commands/pause.ts') },
  { name: 'resume', summary: 'deliver again', load: () => import('./commands/resume.ts') },
  { name: 'cancel', summary: 'remove one waiting message', load: () => import('./commands/cancel.ts') },
  {
    name: 'seek',
    summary: 'move a subscription to another place, or back to a snapshot',
    load: () => import('./commands/seek.ts'),
  },
  { name: 'snapshot', summary: 'take, list or delete snapshots', load: () => import('./commands/snapshot.ts') },
  { name: 'dead', summary: 'list, show, redrive or drop dead letters', load: () => import('./commands/dead.ts') },
  {
    name: 'retry',
    summary: 'give groups of Kafka retries and dead letters, and hand a record back',
    load: () => import('./commands/retry.ts'),
  },
  { name: 'schedule', summary: 'put, list or delete schedules', load: () => import('./commands/schedule.ts') },
  {
    name: 'autoscale',
    summary: 'start and stop worker processes with the backlog of a queue',
    load: () => import('./commands/autoscale.ts'),
  },
  { name: 'bench', summary: 'measure publishing and consuming', load: () => import('./commands/bench.ts') },
  {
    name: 'health',
    summary: 'exit 0 when the broker takes requests, else 1',
    load: () => import('./commands/health.ts'),
  },
  {
    name: 'journal',
    summary: 'show the segments of a running broker; verify, inspect or repair a journal, offline',
    load: () => import('./commands/journal.ts'),
  },
  {
    name: 'backup',
    summary: 'copy the directory of a broker that is at work, as it is at one moment',
    load: () => import('./commands/backup.ts'),
  },
  {
    name: 'restore',
    summary: 'make a directory out of a backup, or check one',
    load: () => import('./commands/restore.ts'),
  },
  {
    name: 'user',
    summary: 'add, change and list users, their access keys and what they may do',
    load: () => import('./commands/user.ts'),
  },
  {
    name: 'policy',
    summary: 'set, list or clear policies of AMQP queues and exchanges',
    load: () => import('./commands/policy.ts'),
  },
  {
    name: 'vhost',
    summary: 'show or change what a namespace says of itself as a virtual host of AMQP',
    load: () => import('./commands/vhost.ts'),
  },
  {
    name: 'vhost-limit',
    summary: 'limit the connections and queues of AMQP in a namespace',
    load: () => import('./commands/vhost-limit.ts'),
  },
  {
    name: 'doctor',
    summary: 'check a broker that runs and its configuration, and say what to fix',
    load: () => import('./commands/doctor.ts'),
  },
  {
    name: 'alert',
    summary: 'show what is wrong by the rules of a broker; set, list or delete them',
    load: () => import('./commands/alert.ts'),
  },
  {
    name: 'route',
    summary: 'say where a message would go through a router',
    load: () => import('./commands/route.ts'),
  },
  { name: 'lab', summary: 'a guided tour that does real work', load: () => import('./commands/lab.ts') },
];
