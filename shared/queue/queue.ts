/** The contract every queue driver keeps: at least once, unordered, with visibility and a dead-letter shelf. */

export interface Delivery {
  readonly id: string;
  readonly body: string;
  /** What travels beside the body, where somebody else than us sent it: Pub/Sub tells of objects there. */
  readonly attributes?: Readonly<Record<string, string>>;
  /** 1 the first time. */
  readonly attempt: number;
  readonly sentAt: number;
  /** Names this delivery only: useless once it expired, was settled, or the message was delivered again. */
  readonly receipt: string;
}

export type Settlement =
  | { readonly kind: 'done' }
  /** Offer it again after the delay. */
  | { readonly kind: 'again'; readonly delayMs: number }
  /** Keep it apart with the reason; only `redrive` brings it back. */
  | { readonly kind: 'dead'; readonly reason: string };

export interface DeadLetter {
  readonly id: string;
  readonly body: string;
  readonly reason: string;
  readonly attempts: number;
  readonly deadAt: number;
}

export interface QueueDepth {
  /** Receivable now or after a delay. */
  readonly waiting: number;
  readonly inFlight: number;
  readonly dead: number;
}

export interface Receive {
  readonly max: number;
  readonly visibilityMs: number;
  readonly waitMs?: number;
}

/** A message that the platform of a function has received for it, as the function's trigger tells of it. */
export interface Handed {
  readonly id: string;
  readonly body: string;
  /** Beside the body, ours and those of others. */
  readonly attributes: Readonly<Record<string, unknown>>;
  /** 1 the first time. */
  readonly deliveries: number;
  readonly sentAt: number;
  /** What the service knows this delivery by: a receipt handle, a lock token. Pub/Sub tells none. */
  readonly handle?: string;
}

export interface Adopted {
  readonly delivery: Delivery;
  /** A copy that came before its time: it must come again so much later. Else 0. */
  readonly dueInMs: number;
}

export interface Queue {
  /** Durable once answered. */
  send(body: string, options?: { readonly delayMs?: number }): Promise<void>;
  /**
   * At most `max` (1 to 10) messages, each hidden from others for `visibilityMs`. Where there are none, it waits for one
   * up to `waitMs` (0 when left out); a queue may wait less, but never longer than that and one round trip.
   */
  receive(options: Receive): Promise<readonly Delivery[]>;
  /** True when this receipt still held the message; false when it had expired or was settled before (no error: at least once). */
  settle(receipt: string, settlement: Settlement): Promise<boolean>;
  /** Hide for another `visibilityMs` from now; false as for settle. */
  extend(receipt: string, visibilityMs: number): Promise<boolean>;
  /**
   * Takes over what a function's platform has received, at queues that have such platforms. `settle` answers false where
   * only the platform can do that: it is asked by how the function ends.
   */
  adopt?(handed: Handed, visibilityMs: number): Adopted;
  depth(): Promise<QueueDepth>;
  deadLetters(options: { readonly limit: number }): Promise<readonly DeadLetter[]>;
  /** Puts dead letters back, attempts starting again at 1; answers how many. */
  redrive(options: { readonly limit: number }): Promise<number>;
  close(): Promise<void>;
}
