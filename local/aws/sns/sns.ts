/** The SNS of the local AWS: topics over the query protocol, for queues and for addresses that are called. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Port, serveHttp } from '../../http.ts';
import type { Cloud, Service } from '../../service.ts';
import { reply, xmlAnswer, xmlError } from '../query/answer.ts';
import type { AwsError } from '../query/error.ts';
import { type Form, readFormBody } from '../query/form.ts';
import { readBody } from '../query/read-body.ts';
import { readForm, type Structure } from '../query/shape.ts';
import { checkSignature } from '../query/signature.ts';
import { openActions } from './actions.ts';
import { readSubscriptionAttributes, readTopicAttributes } from './attributes.ts';
import { errorOfStatus, snsError, toSnsError } from './errors.ts';
import { openPublishing } from './publish.ts';
import { isAction, SHAPES } from './shapes.ts';
import { openSigning } from './signing.ts';
import { openTopics, type Texts, topicArnOf } from './topics.ts';

export interface SnsService extends Service {
  /** Answers the ARN; nothing happens where it already stands. */
  createTopic(name: string, attributes?: Texts): string;
  /** Answers the ARN of the subscription; nothing happens where it already stands. */
  subscribeQueue(topicArn: string, queueArn: string, attributes?: Texts): string;
}

export interface SnsOptions {
  readonly port: Port;
}

const REQUEST_BYTES_MAX = 4 * 1024 * 1024;
const XML_NAMESPACE = 'http://sns.amazonaws.com/doc/2010-03-31/';
/** What a mail or a call invites people to do, who sign nothing: they show the token, or know the subscription. */
const UNSIGNED = ['ConfirmSubscription', 'Unsubscribe'];
const CERTIFICATE = /^\/SimpleNotificationService-([0-9a-f]{1,64})\.pem$/;

interface Request {
  readonly action: string;
  readonly body: Buffer;
  readonly form: Form | null;
  readonly topic?: string;
  readonly refused?: AwsError;
}

export async function startSns(cloud: Cloud, { port }: SnsOptions): Promise<SnsService> {
  let here = '';
  const topics = openTopics(cloud);
  const signing = openSigning(cloud);
  const publishing = openPublishing(cloud, topics, signing.signer, () => here);
  const actions = openActions(cloud, topics, publishing);
  const requests = new WeakMap<IncomingMessage, Request>();

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const certificate = signing.find(CERTIFICATE.exec(request.url ?? '')?.[1] ?? '');
    if (request.method === 'GET' && certificate !== undefined) {
      reply(response, { status: 200, type: 'application/x-pem-file', body: certificate, at: cloud.now() });
      return;
    }
    const asked = requests.get(request)!;
    try {
      if (asked.refused !== undefined) throw asked.refused;
      const mayBeUnsigned = UNSIGNED.includes(asked.action) && request.headers.authorization === undefined;
      if (!mayBeUnsigned) checkSignature(request, asked.body, 'sns', cloud.now());
      reply(response, { status: 200, type: 'text/xml', body: await run(asked), at: cloud.now() });
    } catch (error) {
      const known = toSnsError(error);
      if (known !== error && known.kind.status >= 500) throw error;
      refuse(response, known);
    }
  }

  async function run({ action, form }: Request): Promise<string> {
    if (!isAction(action) || form === null)
      throw snsError('InvalidAction', `The action ${action} is not valid for this web service.`);
    const shape: { readonly input: Structure; readonly output: Structure } = SHAPES[action];
    const call = actions[action] as (input: unknown) => unknown;
    return xmlAnswer(XML_NAMESPACE, action, shape.output, await call(readForm(shape.input, form)));
  }

  function refuse(response: ServerResponse, error: AwsError): void {
    const body = xmlError(XML_NAMESPACE, error);
    reply(response, { status: error.kind.status, type: 'text/xml', body, at: cloud.now() });
  }

  const service = await serveHttp({
    cloud,
    service: 'sns',
    port,
    async describe(request) {
      const asked = await readRequest(request);
      requests.set(request, asked);
      const operation = isAction(asked.action) ? asked.action : 'unknown';
      return asked.topic === undefined ? { operation } : { operation, key: asked.topic };
    },
    handle,
    refuse: (response, status) => refuse(response, errorOfStatus(status)),
  });
  here = `http://${cloud.host}:${service.port}`;

  return {
    ...service,
    createTopic(name, attributes = {}) {
      return (topics.find(topicArnOf(name)) ?? topics.create(name, readTopicAttributes(attributes), {})).arn;
    },
    subscribeQueue(topicArn, queueArn, given = {}) {
      const topic = topics.get(topicArn);
      const present = topics.subscriptions(topicArn).find((it) => it.endpoint === queueArn);
      const attributes = readSubscriptionAttributes(given, '');
      const wanted = { protocol: 'sqs', endpoint: queueArn, attributes, confirmed: true };
      return (present ?? topics.subscribe(topic, wanted)).arn;
    },
  };
}

async function readRequest(request: IncomingMessage): Promise<Request> {
  const body = await readBody(request, REQUEST_BYTES_MAX).catch(() => Buffer.alloc(0));
  if (body === null) {
    const refused = snsError('RequestEntityTooLarge', `A request has at most ${REQUEST_BYTES_MAX} bytes.`);
    return { action: 'unknown', body: Buffer.alloc(0), form: null, refused };
  }
  const query = (request.url ?? '/').split('?', 2)[1] ?? '';
  const form = readFormBody([body.toString(), query].filter((it) => it !== '').join('&'));
  if (form === null) {
    const refused = snsError('MalformedInput', 'The form has too many fields, or too long names.');
    return { action: 'unknown', body, form, refused };
  }
  const topic = (form.get('TopicArn') ?? form.get('Name'))?.text?.split(':').at(-1);
  const asked = { action: form.get('Action')?.text ?? '', body, form };
  return topic === undefined ? asked : { ...asked, topic };
}
