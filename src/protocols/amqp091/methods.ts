// SPDX-License-Identifier: Apache-2.0

/** Class and method of a method frame as one number. */
export function methodOf(classId: number, methodId: number): number {
  return classId * 256 + methodId;
}

export const CONNECTION_CLOSE: number = methodOf(10, 50);
export const CHANNEL_CLOSE: number = methodOf(20, 40);
export const QUEUE_DECLARE: number = methodOf(50, 10);
export const CONSUME: number = methodOf(60, 20);
export const CONSUME_OK: number = methodOf(60, 21);
export const PUBLISH: number = methodOf(60, 40);
export const RETURN: number = methodOf(60, 50);
export const DELIVER: number = methodOf(60, 60);
export const GET: number = methodOf(60, 70);
export const GET_OK: number = methodOf(60, 71);
export const GET_EMPTY: number = methodOf(60, 72);
export const ACK: number = methodOf(60, 80);
export const REJECT: number = methodOf(60, 90);
export const NACK: number = methodOf(60, 120);
export const CONFIRM_SELECT: number = methodOf(85, 10);

/** A method that is answered. */
export interface Call {
  readonly name: string;
  /** Short strings after the reserved short; the first, or the one named, is the destination. */
  readonly strings: number;
  readonly destination: number;
  /** Bit of the flags after the strings that says that nobody answers; 0 for none. */
  readonly noWait: number;
}

/** https://www.rabbitmq.com/amqp-0-9-1-reference: what asks, by class and method. */
const CALLS: ReadonlyMap<number, Call> = new Map([
  row(10, 40, { name: "connection.open" }),
  row(10, 50, { name: "connection.close" }),
  row(10, 70, { name: "connection.update-secret" }),
  row(20, 10, { name: "channel.open" }),
  row(20, 20, { name: "channel.flow" }),
  row(20, 40, { name: "channel.close" }),
  row(40, 10, { name: "exchange.declare", strings: 2, destination: 0, noWait: 16 }),
  row(40, 20, { name: "exchange.delete", strings: 1, destination: 0, noWait: 2 }),
  row(40, 30, { name: "exchange.bind", strings: 3, destination: 0, noWait: 1 }),
  row(40, 40, { name: "exchange.unbind", strings: 3, destination: 0, noWait: 1 }),
  row(50, 10, { name: "queue.declare", strings: 1, destination: 0, noWait: 16 }),
  row(50, 20, { name: "queue.bind", strings: 3, destination: 0, noWait: 1 }),
  row(50, 30, { name: "queue.purge", strings: 1, destination: 0, noWait: 1 }),
  row(50, 40, { name: "queue.delete", strings: 1, destination: 0, noWait: 4 }),
  row(50, 50, { name: "queue.unbind", strings: 3, destination: 0 }),
  row(60, 10, { name: "basic.qos" }),
  row(60, 20, { name: "basic.consume", strings: 2, destination: 0, noWait: 8 }),
  row(60, 30, { name: "basic.cancel" }),
  row(60, 70, { name: "get", strings: 1, destination: 0 }),
  row(60, 110, { name: "basic.recover" }),
  row(85, 10, { name: "confirm.select", noWait: 1 }),
  row(90, 10, { name: "tx.select" }),
  row(90, 20, { name: "tx.commit" }),
  row(90, 30, { name: "tx.rollback" }),
]);

function row(
  classId: number,
  methodId: number,
  call: { name: string; strings?: number; destination?: number; noWait?: number },
): readonly [number, Call] {
  const { name, strings = 0, destination = -1, noWait = 0 } = call;
  return [methodOf(classId, methodId), { name, strings, destination, noWait }];
}

export function callOf(method: number): Call | undefined {
  return CALLS.get(method);
}

/** The call that a method answers; -1 for one that answers nothing. */
export function askedBy(method: number): number {
  if (method === GET_EMPTY) return GET;
  if (method === EXCHANGE_UNBIND_OK) return EXCHANGE_UNBIND;
  return CALLS.has(method - 1) ? method - 1 : -1;
}

const EXCHANGE_UNBIND: number = methodOf(40, 40);
const EXCHANGE_UNBIND_OK: number = methodOf(40, 51);

const ERRORS: ReadonlyMap<number, string> = new Map([
  [311, "CONTENT_TOO_LARGE"],
  [312, "NO_ROUTE"],
  [313, "NO_CONSUMERS"],
  [320, "CONNECTION_FORCED"],
  [402, "INVALID_PATH"],
  [403, "ACCESS_REFUSED"],
  [404, "NOT_FOUND"],
  [405, "RESOURCE_LOCKED"],
  [406, "PRECONDITION_FAILED"],
  [501, "FRAME_ERROR"],
  [502, "SYNTAX_ERROR"],
  [503, "COMMAND_INVALID"],
  [504, "CHANNEL_ERROR"],
  [505, "UNEXPECTED_FRAME"],
  [506, "RESOURCE_ERROR"],
  [530, "NOT_ALLOWED"],
  [540, "NOT_IMPLEMENTED"],
  [541, "INTERNAL_ERROR"],
]);

/** `error.type` of a reply code; empty for success. */
export function replyName(code: number): string {
  return code === 200 || code === 0 ? "" : (ERRORS.get(code) ?? `reply_${code}`);
}
