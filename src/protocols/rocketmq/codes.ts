// SPDX-License-Identifier: Apache-2.0

/** Request codes of the remoting protocol; https://github.com/apache/rocketmq, RequestCode. */
const REQUESTS: ReadonlyMap<number, string> = new Map([
  [10, "SEND_MESSAGE"],
  [11, "PULL_MESSAGE"],
  [12, "QUERY_MESSAGE"],
  [14, "QUERY_CONSUMER_OFFSET"],
  [15, "UPDATE_CONSUMER_OFFSET"],
  [17, "UPDATE_AND_CREATE_TOPIC"],
  [29, "SEARCH_OFFSET_BY_TIMESTAMP"],
  [30, "GET_MAX_OFFSET"],
  [31, "GET_MIN_OFFSET"],
  [33, "VIEW_MESSAGE_BY_ID"],
  [34, "HEART_BEAT"],
  [35, "UNREGISTER_CLIENT"],
  [36, "CONSUMER_SEND_MSG_BACK"],
  [37, "END_TRANSACTION"],
  [38, "GET_CONSUMER_LIST_BY_GROUP"],
  [39, "CHECK_TRANSACTION_STATE"],
  [40, "NOTIFY_CONSUMER_IDS_CHANGED"],
  [41, "LOCK_BATCH_MQ"],
  [42, "UNLOCK_BATCH_MQ"],
  [103, "REGISTER_BROKER"],
  [104, "UNREGISTER_BROKER"],
  [105, "GET_ROUTEINFO_BY_TOPIC"],
  [106, "GET_BROKER_CLUSTER_INFO"],
  [206, "GET_ALL_TOPIC_LIST_FROM_NAMESERVER"],
  [220, "RESET_CONSUMER_CLIENT_OFFSET"],
  [221, "GET_CONSUMER_STATUS_FROM_CLIENT"],
  [307, "GET_CONSUMER_RUNNING_INFO"],
  [309, "CONSUME_MESSAGE_DIRECTLY"],
  [310, "SEND_MESSAGE_V2"],
  [320, "SEND_BATCH_MESSAGE"],
  [324, "SEND_REPLY_MESSAGE"],
  [325, "SEND_REPLY_MESSAGE_V2"],
  [326, "PUSH_REPLY_MESSAGE_TO_CLIENT"],
  [200050, "POP_MESSAGE"],
  [200051, "ACK_MESSAGE"],
  [200053, "CHANGE_MESSAGE_INVISIBLETIME"],
  [200151, "BATCH_ACK_MESSAGE"],
]);

export const SENDS: ReadonlySet<number> = new Set([10, 310, 320, 324, 325]);
export const PULLS: ReadonlySet<number> = new Set([11, 200050]);
export const SETTLES: ReadonlySet<number> = new Set([15, 36, 37, 200051, 200053, 200151]);
/** These have the short field names of SendMessageRequestHeaderV2. */
export const SHORT_NAMES: ReadonlySet<number> = new Set([310, 320, 325]);

export function requestName(code: number): string {
  return REQUESTS.get(code) ?? `REQUEST_${code}`;
}

/** No message for a pull is no error: the client asks again. */
const EMPTY: ReadonlySet<number> = new Set([0, 19, 20, 21, 209, 210]);
const RESPONSES: ReadonlyMap<number, string> = new Map([
  [1, "SYSTEM_ERROR"],
  [2, "SYSTEM_BUSY"],
  [3, "REQUEST_CODE_NOT_SUPPORTED"],
  [4, "TRANSACTION_FAILED"],
  [10, "FLUSH_DISK_TIMEOUT"],
  [11, "SLAVE_NOT_AVAILABLE"],
  [12, "FLUSH_SLAVE_TIMEOUT"],
  [13, "MESSAGE_ILLEGAL"],
  [14, "SERVICE_NOT_AVAILABLE"],
  [15, "VERSION_NOT_SUPPORTED"],
  [16, "NO_PERMISSION"],
  [17, "TOPIC_NOT_EXIST"],
  [22, "QUERY_NOT_FOUND"],
  [23, "SUBSCRIPTION_PARSE_FAILED"],
  [24, "SUBSCRIPTION_NOT_EXIST"],
  [25, "SUBSCRIPTION_NOT_LATEST"],
  [26, "SUBSCRIPTION_GROUP_NOT_EXIST"],
  [200, "TRANSACTION_SHOULD_COMMIT"],
  [201, "TRANSACTION_SHOULD_ROLLBACK"],
  [204, "TRANSACTION_STATE_GROUP_WRONG"],
  [206, "CONSUMER_NOT_ONLINE"],
]);

/** `error.type` of a response's code; empty for success and for "nothing there". */
export function responseError(code: number): string {
  return EMPTY.has(code) ? "" : (RESPONSES.get(code) ?? `response_${code}`);
}
