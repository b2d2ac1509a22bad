// SPDX-License-Identifier: Apache-2.0
import {
  ATTR_ERROR_TYPE,
  ATTR_HTTP_ROUTE,
  ATTR_NETWORK_PROTOCOL_NAME,
  ATTR_URL_PATH,
} from "@opentelemetry/semantic-conventions";
import { attributeKey, type MeasurementSink, type SpanSink } from "../../model/attribute.ts";
import type { Exchange, Role } from "../../model/protocol.ts";
import type { Authority } from "../http/authority.ts";
import { describeAuthority } from "../http/describe-authority.ts";
import type { HttpExchange } from "../http/exchange.ts";
import type { FrameCounter } from "./frame-counter.ts";

const KEYS = {
  errorType: attributeKey(ATTR_ERROR_TYPE),
  route: attributeKey(ATTR_HTTP_ROUTE),
  protocol: attributeKey(ATTR_NETWORK_PROTOCOL_NAME),
  path: attributeKey(ATTR_URL_PATH),
  /** No conventions; README.md. */
  closeCode: attributeKey("websocket.close.code"),
  clientMessages: attributeKey("websocket.client.messages"),
  clientFrames: attributeKey("websocket.client.frames"),
  clientBytes: attributeKey("websocket.client.bytes"),
  serverMessages: attributeKey("websocket.server.messages"),
  serverFrames: attributeKey("websocket.server.frames"),
  serverBytes: attributeKey("websocket.server.bytes"),
} as const;

/** RFC 6455 section 7.4.1: an end as it should be. 1005: a Close frame without a code. */
const GOOD_ENDS: ReadonlySet<number> = new Set([1000, 1001, 1005]);

/** What a connection did after the handshake, as one span. */
export class WebSocketSession implements Exchange {
  readonly role: Role;
  readonly requestPosition: number;
  startNs: number;
  readonly requestEndNs = 0;
  responseStartNs = 0;
  endNs = 0;
  readonly requestTid: number;
  readonly responseTid = 0;
  readonly pid: number;
  readonly traceContext = undefined;
  link: unknown = undefined;
  /** `error.type` of a connection that ended without a Close frame, else empty. */
  failure = "";
  readonly client: FrameCounter;
  readonly server: FrameCounter;
  readonly #authority: Authority | undefined;
  readonly #https: boolean;
  readonly #route: string;
  readonly #path: string;

  /** `handshake` is complete: it is copied from, not kept. Counters stand where frames begin. */
  constructor(handshake: HttpExchange, client: FrameCounter, server: FrameCounter) {
    const { role, target, pathStart, pathEnd, route } = handshake;
    this.role = role;
    this.requestPosition = client.expected;
    this.startNs = Math.max(handshake.endNs, handshake.startNs);
    this.requestTid = handshake.requestTid;
    this.pid = handshake.pid;
    this.client = client;
    this.server = server;
    this.#authority = handshake.authority;
    this.#https = handshake.https;
    this.#route = route?.name ?? "";
    this.#path = new TextDecoder().decode(target.slice(pathStart, pathEnd));
  }

  describe(sink: SpanSink): void {
    sink.name(this.#route === "" ? "WebSocket" : `WebSocket ${this.#route}`);
    sink.string(KEYS.protocol, "websocket");
    if (this.#path !== "") sink.string(KEYS.path, this.#path);
    if (this.#route !== "") sink.string(KEYS.route, this.#route);
    describeAuthority({ authority: this.#authority, https: this.#https }, sink);
    const { client, server } = this;
    if (!client.lost) {
      sink.int(KEYS.clientMessages, client.messages);
      sink.int(KEYS.clientFrames, client.frames);
      sink.int(KEYS.clientBytes, client.bytes);
    }
    if (!server.lost) {
      sink.int(KEYS.serverMessages, server.messages);
      sink.int(KEYS.serverFrames, server.frames);
      sink.int(KEYS.serverBytes, server.bytes);
    }
    const code = client.closeCode === 0 ? server.closeCode : client.closeCode;
    if (code !== 0) sink.int(KEYS.closeCode, code);
    const error = code === 0 ? this.failure : GOOD_ENDS.has(code) ? "" : String(code);
    if (error === "") return;
    sink.string(KEYS.errorType, error);
    sink.error("");
  }

  measure(_sink: MeasurementSink): void {
    // The conventions have no instrument for it.
  }
}
