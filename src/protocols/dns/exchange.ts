// SPDX-License-Identifier: Apache-2.0
import { ATTR_ERROR_TYPE } from "@opentelemetry/semantic-conventions";
import {
  ATTR_DNS_ANSWERS,
  ATTR_DNS_QUESTION_NAME,
  METRIC_DNS_LOOKUP_DURATION,
} from "@opentelemetry/semantic-conventions/incubating";
import { attributeKey, type MeasurementSink, type SpanSink } from "../../model/attribute.ts";
import type { Description, PooledExchange } from "../pooled-exchange.ts";
import { opcodeName, typeName } from "./names.ts";

/** A question and what was answered. */
export interface DnsDetails {
  opcode: number;
  name: string;
  type: number;
  /** -1 until there is a response. */
  answerCount: number;
  addresses: readonly string[];
  /** How often the same question was sent again. */
  resendCount: number;
  /** Of a zone transfer. */
  soaCount: number;
}

export type DnsExchange = PooledExchange<DnsDetails>;

const KEYS = {
  name: attributeKey(ATTR_DNS_QUESTION_NAME),
  answers: attributeKey(ATTR_DNS_ANSWERS),
  /** The conventions have no attributes for these; README.md. */
  type: attributeKey("dns.question.type"),
  opcode: attributeKey("dns.opcode"),
  answerCount: attributeKey("dns.answer_count"),
  resendCount: attributeKey("dns.request.resend_count"),
  errorType: attributeKey(ATTR_ERROR_TYPE),
} as const;

const NO_ADDRESSES: readonly string[] = [];

/** By https://opentelemetry.io/docs/specs/semconv/dns/dns-metrics/ and the registry of `dns`. */
export const DNS_DESCRIPTION: Description<DnsDetails> = {
  createDetails: () => ({
    opcode: 0,
    name: "",
    type: 0,
    answerCount: -1,
    addresses: NO_ADDRESSES,
    resendCount: 0,
    soaCount: 0,
  }),
  resetDetails: (details) => {
    details.opcode = 0;
    details.name = "";
    details.type = 0;
    details.answerCount = -1;
    details.addresses = NO_ADDRESSES;
    details.resendCount = 0;
    details.soaCount = 0;
  },
  describe,
  measure,
};

/** The name of the span is operation and type: names that are asked for are without number. */
function describe(exchange: DnsExchange, sink: SpanSink): void {
  const { details } = exchange;
  const type = details.type === 0 ? "" : typeName(details.type);
  const opcode = opcodeName(details.opcode);
  sink.name(type === "" ? `dns ${opcode}` : `dns ${opcode} ${type}`);
  if (details.name !== "") sink.string(KEYS.name, details.name);
  if (type !== "") sink.string(KEYS.type, type);
  if (details.opcode !== 0) sink.string(KEYS.opcode, opcode);
  if (details.answerCount >= 0) sink.int(KEYS.answerCount, details.answerCount);
  if (details.addresses.length > 0) sink.stringArray(KEYS.answers, details.addresses);
  if (details.resendCount > 0) sink.int(KEYS.resendCount, details.resendCount);
  if (exchange.errorType === "") return;
  sink.string(KEYS.errorType, exchange.errorType);
  // That a name does not exist is no failure of the server that says so.
  if (exchange.role === "client" || exchange.errorType !== "NXDOMAIN") sink.error("");
}

function measure(exchange: DnsExchange, sink: MeasurementSink): void {
  const { details, errorType } = exchange;
  if (exchange.role !== "client" || details.opcode !== 0 || details.name === "") return;
  sink.instrument(METRIC_DNS_LOOKUP_DURATION);
  sink.string(KEYS.name, details.name);
  if (errorType !== "") sink.string(KEYS.errorType, errorType);
}
