// SPDX-License-Identifier: Apache-2.0

/** How a command is told; its type is also the number of its field in BaseCommand. */
export interface Command {
  readonly name: string;
  /** Fields of the command; 0 where it has none. */
  readonly requestId: number;
  readonly topic: number;
  readonly error: number;
  readonly isResponse: boolean;
}

export const CONNECT = 2;
export const CONNECTED = 3;
export const SUBSCRIBE = 4;
export const PRODUCER = 5;
export const SEND = 6;
export const SEND_RECEIPT = 7;
export const SEND_ERROR = 8;
export const MESSAGE = 9;
export const ACK = 10;
export const ERROR = 14;
export const AUTH_RESPONSE = 37;
const TYPE_MAX = 80;

type Row = readonly [type: number, name: string, requestId: number, topic?: number];
type ResponseRow = readonly [type: number, name: string, requestId: number, error?: number];

/** https://github.com/apache/pulsar, PulsarApi.proto */
const REQUESTS: readonly Row[] = [
  [SUBSCRIBE, "subscribe", 5, 1],
  [PRODUCER, "producer", 3, 1],
  [12, "unsubscribe", 2],
  [15, "close_producer", 2],
  [16, "close_consumer", 2],
  [21, "partitioned_metadata", 2, 1],
  [23, "lookup", 2, 1],
  [25, "consumer_stats", 1],
  [28, "seek", 2],
  [29, "get_last_message_id", 2],
  [32, "get_topics_of_namespace", 1],
  [34, "get_schema", 1, 2],
  [39, "get_or_create_schema", 1, 2],
  [50, "new_txn", 1],
  [52, "add_partition_to_txn", 1],
  [54, "add_subscription_to_txn", 1],
  [56, "end_txn", 1],
  [58, "end_txn_on_partition", 1, 4],
  [60, "end_txn_on_subscription", 1],
];
const RESPONSES: readonly ResponseRow[] = [
  [13, "success", 1],
  [ERROR, "error", 1, 2],
  [17, "producer_success", 1],
  [22, "partitioned_metadata_response", 2, 4],
  [24, "lookup_response", 4, 6],
  [26, "consumer_stats_response", 1, 2],
  [30, "get_last_message_id_response", 2],
  [33, "get_topics_of_namespace_response", 1],
  [35, "get_schema_response", 1, 2],
  [38, "ack_response", 6, 4],
  [40, "get_or_create_schema_response", 1, 2],
  [51, "new_txn_response", 1, 4],
  [53, "add_partition_to_txn_response", 1, 4],
  [55, "add_subscription_to_txn_response", 1, 4],
  [57, "end_txn_response", 1, 4],
  [59, "end_txn_on_partition_response", 1, 4],
  [61, "end_txn_on_subscription_response", 1, 4],
];

const commands: readonly (Command | undefined)[] = createTable();

function createTable(): readonly (Command | undefined)[] {
  const table: (Command | undefined)[] = [];
  for (const [type, name, requestId, topic = 0] of REQUESTS) {
    table[type] = { name, requestId, topic, error: 0, isResponse: false };
  }
  for (const [type, name, requestId, error = 0] of RESPONSES) {
    table[type] = { name, requestId, topic: 0, error, isResponse: true };
  }
  return table;
}

export function commandOf(type: number): Command | undefined {
  return commands[type];
}

export function isCommandType(type: number): boolean {
  return type >= CONNECT && type <= TYPE_MAX;
}

const ERRORS = `UnknownError MetadataError PersistenceError AuthenticationError AuthorizationError
ConsumerBusy ServiceNotReady ProducerBlockedQuotaExceededError ProducerBlockedQuotaExceededException
ChecksumError UnsupportedVersionError TopicNotFound SubscriptionNotFound ConsumerNotFound
TooManyRequests TopicTerminatedError ProducerBusy InvalidTopicName IncompatibleSchema
ConsumerAssignError TransactionCoordinatorNotFound InvalidTxnStatus NotAllowedError
TransactionConflict TransactionNotFound ProducerFenced`.split(/\s+/);

export function errorName(code: number): string {
  return ERRORS[code] ?? `error_${code}`;
}
