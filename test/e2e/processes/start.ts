/** Starts the clouds, or Triplicate between them, as a process that can be killed and started again. */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ANY_PORTS, type LocalConfig, type Ports } from '../../../local/config.ts';
import type { SceneOptions } from '../scene.ts';
import { type Child, startChild } from './child.ts';

const scriptOf = (name: string) => join(import.meta.dirname, `${name}.ts`);

export function startWorkerProcess(config: LocalConfig, folder: string, options: SceneOptions): Promise<Child> {
  const task = join(folder, 'worker.json');
  writeFileSync(task, JSON.stringify({ config, folder, options }));
  return startChild(scriptOf('worker'), ['--task', task]);
}

export interface Clouds {
  readonly config: LocalConfig;
  readonly child: Child;
  /** The same folder and the same ports again, after a kill. */
  again(): Promise<Clouds>;
}

export async function startCloudsProcess(folder: string, ports: Ports = ANY_PORTS): Promise<Clouds> {
  mkdirSync(folder, { recursive: true });
  const [task, told] = [join(folder, 'clouds.json'), join(folder, 'told.json')];
  writeFileSync(task, JSON.stringify({ folder: join(folder, 'clouds'), ports, told }));
  const child = await startChild(scriptOf('clouds'), ['--task', task]);
  const config: LocalConfig = JSON.parse(readFileSync(told, 'utf8'));
  return { config, child, again: () => startCloudsProcess(folder, portsOf(config)) };
}

function portsOf({ aws, gcp, azure, control }: LocalConfig): Ports {
  const portOf = (url: string) => Number(new URL(url.includes('://') ? url : `http://${url}`).port);
  const bus = /Endpoint=sb:\/\/[^:;]+:(\d+)/.exec(azure.serviceBusConnectionString)?.[1];
  return {
    aws: portOf(aws.endpoint),
    storage: portOf(gcp.storageEndpoint),
    pubsub: portOf(gcp.pubsubEndpoint),
    firestore: portOf(gcp.firestoreEndpoint),
    blob: portOf(azure.blobEndpoint),
    serviceBus: Number(bus),
    control: portOf(control),
  };
}
