// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startJava } from "./java-session.ts";
import { freePorts } from "./proc-net.ts";

export interface RocketMq {
  /** Of the broker. */
  readonly pid: number;
  readonly port: number;
  readonly nameServerPort: number;
  [Symbol.asyncDispose](): Promise<void>;
}

const NO_LOG = '<configuration><root level="OFF"/></configuration>';

/** A name server and a broker on 127.0.0.1, from test/java/rocketmq. */
export async function startRocketMq(): Promise<RocketMq> {
  const folder = mkdtempSync(join(tmpdir(), "backstitch-rocketmq-"));
  const [nameServerPort = 0, port = 0] = await freePorts(2);
  mkdirSync(join(folder, "conf"));
  for (const name of ["namesrv", "broker"]) {
    writeFileSync(join(folder, "conf", `logback_${name}.xml`), NO_LOG);
  }
  const common = { rocketmqHome: folder };
  const names = { ...common, listenPort: nameServerPort, kvConfigPath: join(folder, "kv.json") };
  const broker = {
    ...common,
    brokerClusterName: "c",
    brokerName: "b",
    brokerId: 0,
    brokerIP1: "127.0.0.1",
    listenPort: port,
    namesrvAddr: `127.0.0.1:${nameServerPort}`,
    storePathRootDir: join(folder, "store"),
    storePathCommitLog: join(folder, "store", "commitlog"),
    mappedFileSizeCommitLog: 1024 * 1024,
    mappedFileSizeConsumeQueue: 60_000,
  };
  const start = async (main: string, config: Readonly<Record<string, string | number>>) => {
    const file = join(folder, `${config["listenPort"]}.properties`);
    const lines = Object.entries(config).map(([key, value]) => `${key}=${value}`);
    writeFileSync(file, lines.join("\n"));
    const args = [`-Duser.home=${folder}`, main, "-c", file];
    return await startJava("rocketmq", args, Number(config["listenPort"]));
  };
  const [nameServer, running] = await Promise.all([
    start("org.apache.rocketmq.namesrv.NamesrvStartup", names),
    start("org.apache.rocketmq.broker.BrokerStartup", broker),
  ]);
  return {
    pid: running.pid,
    port,
    nameServerPort,
    [Symbol.asyncDispose]: async () => {
      await Promise.all([running.stop({ graceMs: 500 }), nameServer.stop({ graceMs: 500 })]);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
