// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { type BpfMap, type LoadedObject, openObject } from "libbpf-ts";
import {
  WIRE_CLOSE,
  WIRE_CONNECTION,
  WIRE_CONNECTION_NETNS,
  WIRE_DATA,
  WIRE_DATAGRAM,
  WIRE_HEADER_KIND,
} from "../../bpf/generated/wire.ts";
import { configSchema } from "../../receivers/ebpf_l7/config.ts";
import {
  type CloseRecord,
  type ConnectionRecord,
  DataCursor,
  decodeClose,
  decodeConnection,
  decodePeer,
} from "../../receivers/ebpf_l7/decode.ts";
import { BpfCapture, type CaptureCounts } from "../../receivers/ebpf_l7/kernel-side.ts";
import { type Protocol, SENT } from "../../src/model/protocol.ts";

const SELECTION_OBJECT = new URL("../../build/bpf/selection.bpf.o", import.meta.url);

/** A child that hangs is a failed test, not a hanging one. */
const CHILD_MAX_MS = 15_000;

/** A data record, copied out of the ring. */
export interface Seen {
  readonly socket: number;
  readonly sent: boolean;
  readonly position: number;
  readonly length: number;
  readonly payload: string;
  readonly tail: string;
  readonly isShed: boolean;
  readonly slept: boolean;
  readonly waited: boolean;
  readonly triggeredAtConnect: boolean;
  readonly triggerSocket: number;
  readonly triggerPosition: number;
  readonly tid: number;
  /** Of a datagram: its other end, `address port`. */
  readonly peer?: string;
}

export interface SeenConnection extends ConnectionRecord {
  readonly netns: number;
}

export interface Captured {
  readonly connections: readonly SeenConnection[];
  readonly data: readonly Seen[];
  readonly closes: readonly CloseRecord[];
  /** Kinds in the order of the ring. */
  readonly kinds: readonly number[];
}

/** The kernel's selection, attached. Nothing is watched until `select`. */
export class Selection {
  readonly #object: LoadedObject;
  readonly map: BpfMap;

  constructor() {
    this.#object = openObject(fileURLToPath(SELECTION_OBJECT)).load();
    this.#object.attachAll();
    this.map = this.#object.map("selected_tasks");
  }

  select(pid: number): void {
    const wanted = this.#object.map("wanted");
    wanted.set(uint32(pid), uint32(1));
    this.#object.runIterator("seed_tasks");
    wanted.delete(uint32(pid));
  }

  close(): void {
    this.#object.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Selection and capture, attached. */
export class Harness {
  readonly #selection = new Selection();
  readonly capture: BpfCapture;

  constructor(config: Readonly<Record<string, unknown>> = {}, protocols?: readonly Protocol[]) {
    const wanted = { ring_size: 1 << 20, ...config };
    const { map } = this.#selection;
    this.capture = BpfCapture.load(configSchema.parse(wanted), map, protocols);
  }

  get object(): LoadedObject {
    return this.capture.object;
  }

  select(pid: number): void {
    this.#selection.select(pid);
  }

  counts(): CaptureCounts {
    return this.capture.counts();
  }

  read(): Captured {
    const connections: SeenConnection[] = [];
    const data: Seen[] = [];
    const closes: CloseRecord[] = [];
    const kinds: number[] = [];
    const { memory } = this.capture;
    const cursor = new DataCursor(memory);
    const text = (start: number, length: number): string =>
      Buffer.from(memory.bytes.subarray(start, start + length)).toString("latin1");
    this.capture.drain((offset) => {
      const kind = memory.view.getUint16(offset + WIRE_HEADER_KIND, true);
      kinds.push(kind);
      if (kind === WIRE_CONNECTION) {
        const netns = memory.view.getUint32(offset + WIRE_CONNECTION_NETNS, true);
        connections.push({ ...decodeConnection(memory, offset), netns });
      } else if (kind === WIRE_DATA) {
        cursor.moveTo(offset);
        data.push(copy(cursor, text));
      } else if (kind === WIRE_DATAGRAM) {
        cursor.moveTo(offset);
        const peer = decodePeer(memory, cursor.start + cursor.captured);
        data.push({ ...copy(cursor, text), peer: `${peer.address} ${peer.port}` });
      } else if (kind === WIRE_CLOSE) {
        closes.push(decodeClose(memory, offset));
      }
    }, 1_000_000);
    return { connections, data, closes, kinds };
  }

  close(): void {
    this.capture.close();
    this.#selection.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function copy(cursor: DataCursor, text: (start: number, length: number) => string): Seen {
  return {
    socket: cursor.socket,
    sent: cursor.direction === SENT,
    position: cursor.position,
    length: cursor.length,
    payload: text(cursor.start, cursor.captured),
    tail: cursor.tailStart < 0 ? "" : text(cursor.tailStart, 8),
    isShed: cursor.isShed,
    slept: cursor.slept,
    waited: cursor.waited,
    triggeredAtConnect: cursor.triggeredAtConnect,
    triggerSocket: cursor.triggerSocket,
    triggerPosition: cursor.triggerPosition,
    tid: cursor.tid,
  };
}

function uint32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

/** What every script of a child starts with. */
const PRELUDE = `
import os, socket, struct, sys, threading, time
REQUEST = b"GET /a HTTP/1.1\\r\\nHost: h\\r\\n\\r\\n"
RESPONSE = b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok"
def pair(family=socket.AF_INET, host="127.0.0.1", connect=None):
    listener = socket.socket(family)
    listener.bind((host, 0))
    listener.listen()
    client = socket.socket(family)
    client.connect((connect or host, listener.getsockname()[1]))
    server, _ = listener.accept()
    listener.close()
    return client, server
def wait():
    print("ready", flush=True)
    sys.stdin.readline()
def exchange(client, server):
    client.sendall(REQUEST)
    server.recv(65536)
    server.sendall(RESPONSE)
    client.recv(65536)
`;

/** A Python process of our own that does what the script says; it calls `wait()` to be resumed. */
export class Child {
  readonly #process: ChildProcess;
  readonly #exited: Promise<unknown>;
  #output = "";
  #errors = "";

  constructor(script: string, command: readonly string[] = ["python3", "-c"]) {
    const [file = "", ...prefix] = command;
    this.#process = spawn(file, [...prefix, PRELUDE + script], {
      stdio: "pipe",
      timeout: CHILD_MAX_MS,
      killSignal: "SIGKILL",
    });
    this.#process.stdout?.on("data", (chunk) => {
      this.#output += String(chunk);
    });
    this.#process.stderr?.on("data", (chunk) => {
      this.#errors += String(chunk);
    });
    this.#exited = once(this.#process, "exit");
  }

  get pid(): number {
    const { pid } = this.#process;
    if (pid === undefined) throw new Error("The child did not start. Is python3 installed?");
    return pid;
  }

  /** Until the script calls `wait()` the `count`-th time. */
  async ready(count = 1): Promise<void> {
    while (this.#output.split("ready").length <= count) {
      if (this.#process.exitCode !== null || this.#process.signalCode !== null)
        throw new Error(`The child ended: ${this.#errors}`);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  resume(): void {
    this.#process.stdin?.write("\n");
  }

  async done(): Promise<string> {
    await this.#exited;
    if (this.#process.exitCode !== 0) throw new Error(`The child failed: ${this.#errors}`);
    return this.#output;
  }

  kill(): void {
    this.#process.kill("SIGKILL");
  }
}

/** Runs a script that is watched from its `wait()` on, and gives what was captured. */
export async function watch(harness: Harness, script: string): Promise<Captured> {
  const child = new Child(script);
  await child.ready();
  harness.select(child.pid);
  child.resume();
  await child.done();
  return harness.read();
}
