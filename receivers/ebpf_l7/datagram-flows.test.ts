// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { DATA_SEND } from "../../bpf/generated/wire.ts";
import {
  type ConnectionParser,
  type DataRecord,
  type Exchange,
  type ExchangeEvents,
  type Protocol,
  type Role,
  SENT,
} from "../../src/model/protocol.ts";
import { RingBench } from "./testing/ring-bench.ts";

const PORT = 5300;

class Question implements Exchange {
  readonly role: Role;
  readonly requestPosition: number;
  startNs: number;
  readonly requestEndNs: number;
  responseStartNs = 0;
  endNs = 0;
  readonly requestTid: number;
  readonly responseTid = 7;
  readonly pid: number;
  readonly traceContext = undefined;
  link: unknown;

  constructor(record: DataRecord) {
    this.role = record.direction === SENT ? "client" : "server";
    this.requestPosition = record.position;
    this.startNs = record.timeNs;
    this.requestEndNs = record.timeNs;
    this.requestTid = record.tid;
    this.pid = record.pid;
  }
  describe(): void {}
  measure(): void {}
}

/** Datagrams `?N…` and `!N…`: a question and its answer, paired by the digit N. */
class Quiz implements ConnectionParser {
  readonly #events: ExchangeEvents;
  readonly #open = new Map<number, Question>();

  constructor(events: ExchangeEvents) {
    this.#events = events;
  }
  get idle(): boolean {
    return this.#open.size === 0;
  }
  data(record: DataRecord): void {
    const id = record.bytes[record.start + 1] ?? 0;
    if (record.bytes[record.start] === 0x3f) {
      const question = new Question(record);
      this.#open.set(id, question);
      this.#events.begin(question);
      return;
    }
    const question = this.#open.get(id);
    this.#open.delete(id);
    if (question === undefined) this.#events.lost("response_without_request");
    else this.#events.end(question);
  }
  close(timeNs: number): void {
    for (const question of this.#open.values()) {
      question.endNs = timeNs;
      this.#events.end(question);
    }
    this.#open.clear();
  }
}

function unused(): ConnectionParser {
  throw new Error("Quiz is spoken in datagrams.");
}

const QUIZ: Protocol = {
  name: "quiz",
  ports: [PORT],
  detect: () => "no",
  createParser: unused,
  datagrams: {
    detect: (bytes, start) => ([0x21, 0x3f].includes(bytes[start] ?? 0) ? "weak" : "no"),
    createParser: (_options, events) => new Quiz(events),
  },
};

function bench(): RingBench {
  return new RingBench(16, new Map(), {}, [QUIZ]);
}

const SERVER = 1;
const CLIENT = 2;

test("clients of one server socket that use the same ids are told apart", async () => {
  const one = bench();
  one.datagramSocket(SERVER, PORT);
  one.datagram(SERVER, 0, "?1 who", ["10.0.0.1", 1111]);
  one.datagram(SERVER, 0, "?1 what", ["10.0.0.2", 1111]);
  one.datagram(SERVER, DATA_SEND, "!1 that", ["10.0.0.2", 1111]);
  one.datagram(SERVER, DATA_SEND, "!1 you", ["10.0.0.1", 1111]);
  assert.deepEqual(one.remotes, ["10.0.0.2", "10.0.0.1"]);
  assert.equal(await one.telemetry.value('backstitch_ebpf_l7_unpaired{reason="gap"}'), 0);
  one.datagram(SERVER, DATA_SEND, "!1 again", ["10.0.0.2", 1111]);
  assert.equal(one.finished.length, 2, "the flow is forgotten with its question");
});

test("both ends of a question compute one name, and see that both are watched", () => {
  const one = bench();
  one.datagramSocket(CLIENT, 1111, PORT);
  one.datagramSocket(SERVER, PORT);
  one.datagram(CLIENT, DATA_SEND, "?1 who", ["10.0.0.9", PORT]);
  one.datagram(SERVER, 0, "?1 who", ["192.168.0.1", 1111]);
  one.datagram(SERVER, DATA_SEND, "!1 you", ["192.168.0.1", 1111]);
  one.datagram(CLIENT, 0, "!1 you", ["10.0.0.9", PORT]);
  one.datagram(CLIENT, DATA_SEND, "?2 who", ["10.0.0.9", PORT]);
  one.datagram(CLIENT, 0, "!2 you", ["10.0.0.9", PORT]);
  const [server = "", client = "", alone = ""] = one.names;
  assert.equal(server, client);
  assert.notEqual(alone, client);
  assert.deepEqual(one.observed, [true, true, false]);
  assert.deepEqual(
    one.finished.map(({ role }) => role),
    ["server", "client", "client"],
  );
});

test("what nobody answers ends with time, with the socket, or with the agent", async () => {
  const one = bench();
  one.datagramSocket(SERVER, PORT);
  one.datagram(SERVER, 0, "?1 who", ["10.0.0.1", 1111]);
  one.reader.sweepFlows(Number.POSITIVE_INFINITY, 5_000_000);
  assert.equal(one.finished[0]?.endNs, 5_000_000);
  one.datagram(SERVER, 0, "?1 who", ["10.0.0.2", 1111]);
  one.close(SERVER, 0, 0);
  assert.equal(one.finished.length, 2);
  one.datagramSocket(SERVER, PORT);
  one.datagram(SERVER, 0, "?1 who", ["10.0.0.3", 1111]);
  one.reader.shutdown();
  assert.equal(one.finished.length, 2);
  assert.equal(await one.abandoned("shutdown"), 1);
});
