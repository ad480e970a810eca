/** `triplicate worker`: the long-running process that replicates, for people who run containers. */

import { CONFIG_OPTION, type Command, EXIT, Mistake } from '../command.ts';
import { all, count } from '../words.ts';
import { type Opened, withWorld } from '../world.ts';

const SECOND_MS = 1_000;

export const worker: Command = {
  name: 'worker',
  summary: 'replicate: take notifications from the queues until told to stop',
  takes: '',
  about: [
    'Takes messages from the queue of every site that has one, sweeps keys that are due, verifies some, and compares everything once an',
    'hour. Any number of workers may run at once. Ctrl-C or SIGTERM lets what is under way end, for as long as --grace',
    'says; what has not ended then comes again by itself. A second signal ends it at once.',
    '',
    'With --port it answers GET /healthz as long as it lives, and GET /readyz with 200 while it takes messages, queues',
    'and ledger answer, else with 503 and the reason.',
    '',
    'With --events everything that happens is published on the standard output: CloudEvents, one line of JSON for each, as',
    'events/README.md describes them. What is for people then goes to the standard error.',
  ],
  examples: [
    ['triplicate worker --port 8080', 'beside a local world started with --no-replication, or in a container'],
    ['triplicate worker --events | tee events.jsonl', 'and keep what happens, for other programs'],
    ['triplicate worker --config eu.yaml --concurrency 16', 'the sites of another configuration, and gently'],
  ],
  options: [
    CONFIG_OPTION,
    { name: 'port', takes: 'N', about: 'where to answer how it is; 0 for any that is free; left out: nowhere' },
    { name: 'host', takes: 'ADDRESS', about: 'the address to listen on (127.0.0.1; containers want 0.0.0.0)' },
    { name: 'concurrency', takes: 'N', about: 'messages under way at once (64)' },
    { name: 'grace', takes: 'SECONDS', about: 'how long to let what is under way end when told to stop (20)' },
    { name: 'events', about: 'publish what happens as CloudEvents (as does TRIPLICATE_EVENTS=stdout)' },
    { name: 'no-pass', about: 'do not compare everything once an hour, because something else does' },
  ],
  async run(given, context) {
    const concurrency = given.count('concurrency', 64, { min: 1, max: 1_000 });
    const graceMs = given.count('grace', 20, { min: 0, max: 3_600 }) * SECOND_MS;
    const port = given.text('port') === undefined ? null : given.count('port', 0, { min: 0, max: 65_535 });
    const host = given.text('host') ?? '127.0.0.1';
    const publishes = given.has('events') || context.env.TRIPLICATE_EVENTS === 'stdout';
    const say = publishes ? context.err : context.out;
    const run = async (opened: Opened) => {
      const { world, queues } = opened;
      const sites = Object.keys(queues);
      const { startServing } = await import('../../functions/runtime/serve.ts');
      if (sites.length === 0) {
        const variables = all(world.topology.sites.map(({ id }) => `TRIPLICATE_QUEUE_${id.toUpperCase()}`));
        const examples = 'sqs:URL, pubsub:PROJECT/SUBSCRIPTION or servicebus:NAMESPACE/QUEUE';
        throw new Mistake(
          `No queue is named, so there is nothing to take. Set ${variables} to addresses such as ${examples}.`,
        );
      }
      const stopped = context.untilStopped();
      const serving = await startServing(opened, {
        timer: context.timer,
        concurrency,
        ...(given.has('no-pass') ? { passEveryMs: 0 } : {}),
        ...(port === null ? {} : { health: { host, port } }),
      });
      const asked = serving.port === null ? '' : `; http://${host}:${serving.port}/healthz and /readyz tell how it is`;
      say(`Taking messages of ${all(sites)}${asked}. Ctrl-C stops it.`);
      await stopped;
      say(`Stopping: ${count(serving.state.underWay, 'message')} under way.`);
      await serving.stop(graceMs);
      say(`Stopped after ${count(serving.state.received, 'message')}.`);
      return EXIT.fine;
    };
    return withWorld(given, context, run, publishes ? { events: context.out } : {});
  },
};
