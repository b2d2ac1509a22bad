// SPDX-License-Identifier: Apache-2.0
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { freePorts } from "./proc-net.ts";
import { type RunningProcess, startProcess } from "./process.ts";

const FOLDER = join(import.meta.dirname, "..", "kafka");
const SESSION = join(FOLDER, "Session.java");
const JAVA = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto"];

export interface Kafka {
  readonly pid: number;
  readonly port: number;
  /** The session of test/kafka/Session.java, compiled and waiting. */
  startSession(): Promise<RunningProcess>;
  /** Lets the sessions work. */
  openGate(): void;
  [Symbol.asyncDispose](): Promise<void>;
}

/** A single broker on 127.0.0.1; clients are told to use `advertisedPort` when that is given. */
export async function startKafka(advertisedPort?: number): Promise<Kafka> {
  const { stdout } = await promisify(execFile)(join(FOLDER, "build.sh"));
  const classPath = `${stdout.trim()}/*`;
  const folder = mkdtempSync(join(tmpdir(), "backstitch-kafka-"));
  const [port = 0, controllerPort = 0] = await freePorts(2);
  const gate = join(folder, "gate");
  const config = join(folder, "server.properties");
  writeFileSync(
    config,
    [
      "process.roles=broker,controller",
      "node.id=1",
      `controller.quorum.voters=1@127.0.0.1:${controllerPort}`,
      `listeners=PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
      `advertised.listeners=PLAINTEXT://127.0.0.1:${advertisedPort ?? port}`,
      "controller.listener.names=CONTROLLER",
      "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
      `log.dirs=${join(folder, "log")}`,
      "offsets.topic.replication.factor=1",
      "offsets.topic.num.partitions=1",
      "group.initial.rebalance.delay.ms=0",
      "auto.create.topics.enable=false",
    ].join("\n"),
  );
  const tool = ["-cp", classPath, "kafka.tools.StorageTool", "format"];
  await promisify(execFile)("java", [...JAVA, ...tool, "-t", CLUSTER_ID, "-c", config]);
  const broker = await startProcess({
    command: "java",
    args: [...JAVA, "-Xmx384m", "-cp", classPath, "kafka.Kafka", config],
    readyPort: port,
    readyTimeoutMs: 40_000,
  });
  return {
    pid: broker.pid,
    port,
    startSession: () =>
      startProcess({
        command: "java",
        args: [...JAVA, "-cp", classPath, SESSION, String(advertisedPort ?? port), gate],
        readyOutput: /ready/,
        readyTimeoutMs: 40_000,
      }),
    openGate: () => writeFileSync(gate, ""),
    [Symbol.asyncDispose]: async () => {
      await broker.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Any 16 bytes in base64url. */
const CLUSTER_ID = "AAAAAAAAAAAAAAAAAAAAAQ";
