// SPDX-License-Identifier: Apache-2.0
// Random requests through random services, with the truth that a stitcher can know.
import fc from "fast-check";
import {
  KEY_AT_CONNECT,
  KEY_PEER_OBSERVED,
  KEY_SLEPT,
  KEY_TRIGGER_OPEN,
  TRIGGER_REQUEST,
  TRIGGER_RESPONSE,
} from "../../../src/model/stitch-key.ts";
import type { TestKey } from "./otlp.ts";

/** How the calls of one service come about. */
export type Style =
  | "thread"
  | "thread_slept"
  | "loop"
  | "loop_slept"
  | "followed"
  | "proxy"
  | "proxy_handed_off"
  | "sdk"
  | "unknown";

export const STYLES: readonly Style[] = [
  "thread",
  "thread_slept",
  "loop",
  "loop_slept",
  "followed",
  "proxy",
  "proxy_handed_off",
  "sdk",
  "unknown",
];

export interface Service {
  readonly style: Style;
  /** Services called, in order; undefined: one that is not watched. */
  readonly calls: readonly (Service | undefined)[];
}

export interface Expected {
  readonly key: TestKey;
  /** Id of the parent, or 0. */
  readonly parent: number;
  /** The parent is a span that is not ours. */
  readonly isExternal: boolean;
  readonly evidence: string | undefined;
}

interface Header {
  readonly traceId: number;
  readonly spanId: number;
}

const ENTRY_STYLES = fc.constantFrom(...STYLES);

export const serviceArbitrary: fc.Arbitrary<Service> = fc.letrec<{ service: Service }>((tie) => ({
  service: fc.record({
    style: ENTRY_STYLES,
    calls: fc.array(fc.option(tie("service"), { nil: undefined, depthSize: "small" }), {
      maxLength: 4,
    }),
  }),
})).service;

/** The spans of one request that enters at `entry`, ids from `firstId`. */
export function spansOf(entry: Service, firstId: number, header?: Header): readonly Expected[] {
  return new Request(firstId).run(entry, header);
}

class Request {
  readonly #spans: Expected[] = [];
  #id: number;
  #pid: number;

  constructor(firstId: number) {
    this.#id = firstId;
    this.#pid = firstId;
  }

  run(entry: Service, header: Header | undefined): readonly Expected[] {
    this.#serve(entry, 0, header);
    return this.#spans;
  }

  #serve(service: Service, client: number, header: Header | undefined): void {
    const id = this.#id++;
    const pid = this.#pid++;
    const isEntry = client === 0;
    this.#spans.push({
      key: {
        id,
        role: "server",
        counterpart: isEntry ? 1_000_000 + id : client,
        flags: isEntry ? 0 : KEY_PEER_OBSERVED,
        pid,
        ...(header === undefined ? {} : { header }),
      },
      parent: isEntry ? (header?.spanId ?? 0) : client,
      isExternal: isEntry && header !== undefined,
      evidence: isEntry ? (header === undefined ? undefined : "trace_header") : "byte_name",
    });
    let previous = 0;
    for (const callee of service.calls) {
      const call = this.#call(service.style, { server: id, pid, previous, header });
      this.#spans.push(call);
      previous = call.key.id;
      if (callee !== undefined) this.#serve(callee, call.key.id, call.key.header);
    }
  }

  #call(
    style: Style,
    at: { server: number; pid: number; previous: number; header: Header | undefined },
  ): Expected {
    const id = this.#id++;
    const base = { id, role: "client", counterpart: 2_000_000 + id, pid: at.pid } as const;
    const key: TestKey = { ...base, triggerKind: TRIGGER_REQUEST, trigger: at.server, open: 1 };
    const flags = KEY_TRIGGER_OPEN;
    const linked = (spanKey: TestKey, evidence: string): Expected => ({
      key: spanKey,
      parent: at.server,
      isExternal: false,
      evidence,
    });
    const root = (spanKey: TestKey): Expected => ({
      key: spanKey,
      parent: 0,
      isExternal: false,
      evidence: undefined,
    });
    switch (style) {
      case "thread":
        return linked({ ...key, flags }, "same_thread");
      case "thread_slept":
        return linked({ ...key, flags: flags | KEY_SLEPT }, "same_thread");
      case "loop":
        return linked({ ...key, open: 5, flags: flags | KEY_AT_CONNECT }, "event_loop");
      case "loop_slept":
        return root({ ...key, open: 5, flags: flags | KEY_SLEPT });
      case "followed":
        if (at.previous === 0) return linked({ ...key, flags }, "same_thread");
        return linked(
          { ...key, triggerKind: TRIGGER_RESPONSE, trigger: at.previous, flags },
          "same_thread",
        );
      case "proxy":
        if (at.header === undefined) return linked({ ...key, flags }, "same_thread");
        return linked({ ...key, flags, header: at.header }, "trace_header");
      case "proxy_handed_off":
        if (at.header === undefined) return root(base);
        return linked({ ...base, header: at.header }, "trace_header");
      case "sdk": {
        const traceId = at.header?.traceId ?? 3_000_000 + at.server;
        const header = { traceId, spanId: 4_000_000 + id };
        return {
          key: { ...key, flags, header },
          parent: header.spanId,
          isExternal: true,
          evidence: "trace_header",
        };
      }
      case "unknown":
        return root(base);
    }
  }
}
