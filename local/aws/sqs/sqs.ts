/** The SQS of the local AWS: queues over the JSON protocol of today and the query protocol of before. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Port, serveHttp } from '../../http.ts';
import type { Cloud, Service } from '../../service.ts';
import { faultOf, reply, xmlAnswer, xmlError } from '../query/answer.ts';
import type { AwsError } from '../query/error.ts';
import { type Form, readFormBody } from '../query/form.ts';
import { readBody } from '../query/read-body.ts';
import { readForm, readJson, type Structure } from '../query/shape.ts';
import { checkSignature } from '../query/signature.ts';
import { type Caller, openSqs } from './actions.ts';
import type { Attributes } from './attributes.ts';
import { readDelivered } from './delivered.ts';
import { errorOfStatus, sqsError, toSqsError } from './errors.ts';
import { pathOf, readQueueUrl } from './names.ts';
import { isAction, SHAPES } from './shapes.ts';

export interface SqsService extends Service {
  /** One that stands already takes the attributes. */
  createQueue(name: string, attributes?: Attributes): { readonly url: string; readonly arn: string };
  queueUrl(name: string): string;
}

export interface SqsOptions {
  readonly port: Port;
}

/** Ten messages of a mebibyte in all, in base64 or with every byte escaped. */
const REQUEST_BYTES_MAX = 8 * 1024 * 1024;
const TARGET = 'AmazonSQS.';
const XML_NAMESPACE = 'http://queue.amazonaws.com/doc/2012-11-05/';

type Protocol = 'json' | 'query';

interface Request {
  readonly protocol: Protocol;
  readonly action: string;
  readonly body: Buffer;
  /** What it is given, not yet looked at: of the JSON protocol a value, of the query protocol a form. */
  readonly input: unknown;
  readonly queueName?: string;
  readonly refused?: AwsError;
}

export async function startSqs(cloud: Cloud, { port }: SqsOptions): Promise<SqsService> {
  const sqs = openSqs(cloud);
  const requests = new WeakMap<IncomingMessage, Request>();
  let here = '';

  const originOf = ({ headers: { host = '' } }: IncomingMessage) =>
    /^[\w.-]+(:\d{1,5})?$|^\[[\da-f:]+\](:\d{1,5})?$/i.test(host) ? `http://${host}` : here;

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const asked = requests.get(request)!;
    const hungUp = new AbortController();
    response.on('close', () => hungUp.abort());
    try {
      if (asked.refused !== undefined) throw asked.refused;
      checkSignature(request, asked.body, 'sqs', cloud.now());
      const body = await run(asked, { origin: originOf(request), signal: hungUp.signal });
      answer(cloud, response, asked.protocol, 200, body);
    } catch (error) {
      const known = toSqsError(error);
      if (known !== error && known.kind.status >= 500) throw error;
      answerError(cloud, response, asked.protocol, known);
    }
  }

  async function run({ protocol, action, input }: Request, caller: Caller): Promise<string> {
    if (!isAction(action)) throw sqsError('InvalidAction', `The action ${action} is not valid for this endpoint.`);
    const shape: { readonly input: Structure; readonly output: Structure } = SHAPES[action];
    const given = protocol === 'json' ? readJson(shape.input, input) : readForm(shape.input, input as Form);
    const call = sqs.actions[action] as (input: unknown, caller: Caller) => unknown;
    const done = await call(given, caller);
    return protocol === 'json' ? JSON.stringify(done) : xmlAnswer(XML_NAMESPACE, action, shape.output, done);
  }

  const service = await serveHttp({
    cloud,
    service: 'sqs',
    port,
    async describe(request) {
      const asked = await readRequest(request);
      requests.set(request, asked);
      const operation = isAction(asked.action) ? asked.action : 'unknown';
      return asked.queueName === undefined ? { operation } : { operation, key: asked.queueName };
    },
    handle,
    refuse(response, status) {
      const protocol = requests.get(response.req)?.protocol ?? 'json';
      answerError(cloud, response, protocol, errorOfStatus(status));
    },
  });
  here = `http://${cloud.host}:${service.port}`;

  cloud.delivery.to('arn:aws:sqs:', ({ target, body, attributes }) => {
    const queue = sqs.queues.findByArn(target);
    if (queue === undefined) throw new Error(`there is no queue ${target}`);
    sqs.send(queue, { MessageBody: body, MessageAttributes: readDelivered(attributes) });
  });

  return {
    ...service,
    createQueue(name, attributes = {}) {
      const present = sqs.queues.find(name);
      if (present !== undefined) sqs.queues.change(present, attributes);
      const { arn } = present ?? sqs.queues.create(name, attributes, {});
      return { url: here + pathOf(name), arn };
    },
    queueUrl: (name) => here + pathOf(name),
    async stop() {
      sqs.stop();
      await service.stop();
    },
  };
}

async function readRequest(request: IncomingMessage): Promise<Request> {
  const target = request.headers['x-amz-target'];
  const protocol: Protocol = typeof target === 'string' ? 'json' : 'query';
  const body = await readBody(request, REQUEST_BYTES_MAX).catch(() => Buffer.alloc(0));
  if (body === null) {
    const refused = sqsError('RequestTooLarge', `A request has at most ${REQUEST_BYTES_MAX} bytes.`);
    return { protocol, action: 'unknown', body: Buffer.alloc(0), input: null, refused };
  }
  return protocol === 'json' ? readJsonRequest(String(target), body) : readQueryRequest(request, body);
}

function readJsonRequest(target: string, body: Buffer): Request {
  const action = target.startsWith(TARGET) ? target.slice(TARGET.length) : target;
  try {
    const input: unknown = JSON.parse(
      body.length === 0 ? '{}' : new TextDecoder('utf-8', { fatal: true }).decode(body),
    );
    const { QueueUrl: url, QueueName: name } = Object(input) as Record<string, unknown>;
    return { protocol: 'json', action, body, input, ...queueName(url ?? name) };
  } catch {
    const refused = sqsError('MalformedInput', 'The request body is no JSON in UTF-8.');
    return { protocol: 'json', action, body, input: null, refused };
  }
}

/** The queue may be the path, and parameters may stand behind it. */
function readQueryRequest(request: IncomingMessage, body: Buffer): Request {
  const [path = '/', query = ''] = (request.url ?? '/').split('?', 2);
  const isForm = (request.headers['content-type'] ?? '').startsWith('application/x-www-form-urlencoded');
  const given = isForm ? body.toString() : '';
  const url = path === '/' ? '' : `QueueUrl=${encodeURIComponent(path)}`;
  const form = readFormBody([given, query, url].filter((it) => it !== '').join('&'));
  if (form === null) {
    const refused = sqsError('MalformedInput', 'The form has too many fields, or too long names.');
    return { protocol: 'query', action: 'unknown', body, input: null, refused };
  }
  const name = form.get('QueueUrl')?.text ?? form.get('QueueName')?.text;
  return { protocol: 'query', action: form.get('Action')?.text ?? '', body, input: form, ...queueName(name) };
}

function queueName(url: unknown): { readonly queueName?: string } {
  const name = typeof url === 'string' ? readQueueUrl(url) : null;
  return name === null ? {} : { queueName: name };
}

function answer(
  cloud: Cloud,
  response: ServerResponse,
  protocol: Protocol,
  status: number,
  body: string,
  code?: string,
) {
  reply(response, {
    status,
    type: protocol === 'json' ? 'application/x-amz-json-1.0' : 'text/xml',
    body,
    at: cloud.now(),
    ...(code === undefined ? {} : { headers: { 'x-amzn-query-error': `${code};${faultOf(status)}` } }),
  });
}

function answerError(cloud: Cloud, response: ServerResponse, protocol: Protocol, error: AwsError): void {
  const { type, code, status } = error.kind;
  const body =
    protocol === 'json' ? JSON.stringify({ __type: type, message: error.message }) : xmlError(XML_NAMESPACE, error);
  answer(cloud, response, protocol, status, body, code);
}
