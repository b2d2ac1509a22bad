// SPDX-License-Identifier: Apache-2.0
import {
  KEY_POOL_BUSY,
  KEY_TRIGGER_OPEN,
  ROLE_CLIENT,
  TRIGGER_GOROUTINE,
  TRIGGER_JAVA,
  TRIGGER_PYTHON,
  TRIGGER_REQUEST,
  TRIGGER_REQUEST_ID,
  TRIGGER_RESPONSE,
} from "../../../src/model/stitch-key.ts";
import type { StitchKey } from "../key.ts";
import type { Evidence } from "./evidence.ts";

/**
 * A call after the answer may be of work that the request started, or of work that it once began
 * for all: nothing is said of it.
 */
function offer(key: StitchKey, triggerKind: number): number {
  const isIt = key.role === ROLE_CLIENT && key.triggerKind === triggerKind;
  return isIt && key.has(KEY_TRIGGER_OPEN) ? 100 : 0;
}

/** The goroutine that asked for the call read that request, or was started by one that did. */
export const goroutine: Evidence = {
  name: "goroutine",
  target: "trigger",
  offer: (key) => offer(key, TRIGGER_GOROUTINE),
};

/** The context in which the call was written descends from one that works for that request. */
export const pythonContext: Evidence = {
  name: "python_context",
  target: "trigger",
  offer: (key) => offer(key, TRIGGER_PYTHON),
};

/** The JVM's task that wrote the call works for that request, or was handed over by one that did. */
export const javaTask: Evidence = {
  name: "java_task",
  target: "trigger",
  offer: (key) => offer(key, TRIGGER_JAVA),
};

/**
 * The call carries the id (x-request-id, the trace id of b3) of one incoming request of the process.
 * Less sure than a runtime: applications give one id to several requests at times.
 */
export const requestId: Evidence = {
  name: "request_id",
  target: "trigger",
  offer: (key) => (offer(key, TRIGGER_REQUEST_ID) > 0 ? 99 : 0),
};

/**
 * By Node's ids the call was made in the turn of that read, though it may have waited for a connection
 * since: the event loop's rule holds for that turn. In a full pool the application may have held
 * the call back itself, which no id tells.
 */
export const asyncId: Evidence = {
  name: "async_id",
  target: "trigger",
  offer(key) {
    if (key.role !== ROLE_CLIENT || !key.isByAsyncId || key.has(KEY_POOL_BUSY)) return 0;
    if (key.triggerKind === TRIGGER_RESPONSE) return 97;
    return key.triggerKind === TRIGGER_REQUEST && key.has(KEY_TRIGGER_OPEN) ? 97 : 0;
  },
};
