// SPDX-License-Identifier: Apache-2.0
/**
 * What a component from outside may use: handed to its module's `components` function, so that
 * it shares our copies of the libraries and needs no dependency of its own. Kept compatible within
 * a major version; everything else of the agent may change.
 */
import * as rxjs from "rxjs";
import { z } from "zod";
import {
  defineConnector,
  defineExporter,
  defineExtension,
  defineProcessor,
  defineReceiver,
  type Factory,
} from "../component/component.ts";
import { AgentError } from "../component/errors.ts";
import {
  byteSize,
  clientEndpoint,
  duration,
  endpoint,
  endpointOf,
  headers,
  opaque,
} from "../config/types.ts";
import { fromOtlpJson } from "../pdata/json-decode.ts";
import { toOtlpJson } from "../pdata/json-encode.ts";
import { OTLP_SIGNALS, REQUESTS } from "../pdata/requests.ts";
import { splitBatch } from "../pdata/split.ts";
import { validateRequest } from "../pdata/validate.ts";
import {
  createQueuedExporter,
  retrySchema,
  sendingQueueSchema,
  timeoutSchema,
} from "../pipeline/export-helper.ts";
import { perBatch } from "../pipeline/per-batch.ts";
import { createReceipt } from "../pipeline/receipt.ts";
import { ThrottledLog } from "../pipeline/throttled-log.ts";
import { joinBatches } from "../pipeline/timed-batch.ts";

export type {
  Connector,
  ConnectorSettings,
  Exporter,
  ExporterSettings,
  Extension,
  Factory,
  Host,
  PipelineSettings,
  Processor,
  Receiver,
  ReceiverSettings,
  Settings,
} from "../component/component.ts";
export type { Batch, Outcome, Receipt, Signal } from "../model/batch.ts";

/** The contract's version: a module may look at it. */
const VERSION = 1;

export interface Kit {
  readonly version: typeof VERSION;
  readonly z: typeof z;
  readonly rxjs: typeof rxjs;
  readonly defineReceiver: typeof defineReceiver;
  readonly defineProcessor: typeof defineProcessor;
  readonly defineExporter: typeof defineExporter;
  readonly defineConnector: typeof defineConnector;
  readonly defineExtension: typeof defineExtension;
  /** `new AgentError(code, message, {retryable})`: how an exporter says what kind of failure it is. */
  readonly AgentError: typeof AgentError;
  /** Kinds of values in configurations. */
  readonly types: {
    readonly byteSize: typeof byteSize;
    readonly clientEndpoint: typeof clientEndpoint;
    readonly duration: typeof duration;
    readonly endpoint: typeof endpoint;
    readonly endpointOf: typeof endpointOf;
    readonly headers: typeof headers;
    readonly opaque: typeof opaque;
    readonly retry: typeof retrySchema;
    readonly sendingQueue: typeof sendingQueueSchema;
    readonly timeout: typeof timeoutSchema;
  };
  /** OTLP bytes from and to JSON, checked, cut and joined. */
  readonly otlp: {
    readonly requests: typeof REQUESTS;
    readonly signals: typeof OTLP_SIGNALS;
    readonly fromJson: typeof fromOtlpJson;
    readonly toJson: typeof toOtlpJson;
    /** Items of a request, or less than 0 when it is malformed. */
    readonly countItems: typeof validateRequest;
    readonly split: typeof splitBatch;
    readonly join: typeof joinBatches;
  };
  /** A processor's work on one batch at a time; a throw costs that batch. */
  readonly perBatch: typeof perBatch;
  /** An exporter with queue, retries and timeout. */
  readonly createQueuedExporter: typeof createQueuedExporter;
  readonly createReceipt: typeof createReceipt;
  readonly ThrottledLog: typeof ThrottledLog;
}

/** What a module named in `service::components` exports under the name `components`. */
export type ComponentsOf = (kit: Kit) => readonly Factory[];

export const KIT: Kit = {
  version: VERSION,
  z,
  rxjs,
  defineReceiver,
  defineProcessor,
  defineExporter,
  defineConnector,
  defineExtension,
  AgentError,
  types: {
    byteSize,
    clientEndpoint,
    duration,
    endpoint,
    endpointOf,
    headers,
    opaque,
    retry: retrySchema,
    sendingQueue: sendingQueueSchema,
    timeout: timeoutSchema,
  },
  otlp: {
    requests: REQUESTS,
    signals: OTLP_SIGNALS,
    fromJson: fromOtlpJson,
    toJson: toOtlpJson,
    countItems: validateRequest,
    split: splitBatch,
    join: joinBatches,
  },
  perBatch,
  createQueuedExporter,
  createReceipt,
  ThrottledLog,
};
