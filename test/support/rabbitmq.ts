// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts } from "./proc-net.ts";
import { startProcess } from "./process.ts";

export interface RabbitMq {
  readonly port: number;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * A broker on 127.0.0.1 that speaks AMQP 0-9-1 and 1.0, with a node name, a data folder and a port
 * mapper of its own: nothing of it is left behind.
 */
export async function startRabbitMq(): Promise<RabbitMq> {
  const folder = mkdtempSync(join(tmpdir(), "backstitch-rabbitmq-"));
  const [port = 0, distribution = 0, mapper = 0] = await freePorts(3);
  writeFileSync(join(folder, "enabled_plugins"), "[rabbitmq_amqp1_0].\n");
  writeFileSync(join(folder, "rabbitmq.conf"), `listeners.tcp.1 = 127.0.0.1:${port}\n`);
  const env = {
    HOME: folder,
    ERL_EPMD_PORT: String(mapper),
    ERL_EPMD_ADDRESS: "127.0.0.1",
    RABBITMQ_NODENAME: `test${port}@localhost`,
    RABBITMQ_DIST_PORT: String(distribution),
    RABBITMQ_CONF_ENV_FILE: join(folder, "env.conf"),
    RABBITMQ_CONFIG_FILE: join(folder, "rabbitmq.conf"),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, "enabled_plugins"),
    RABBITMQ_MNESIA_BASE: join(folder, "mnesia"),
    RABBITMQ_LOG_BASE: join(folder, "log"),
    RABBITMQ_PID_FILE: join(folder, "pid"),
  };
  // Not as its child, which outlives the broker.
  const portMapper = await startProcess({
    command: "epmd",
    args: ["-port", String(mapper), "-address", "127.0.0.1"],
    readyPort: mapper,
  });
  const broker = await startProcess({
    command: "/usr/lib/rabbitmq/bin/rabbitmq-server",
    env,
    readyOutput: /completed with \d+ plugins/,
    readyTimeoutMs: 60_000,
  });
  return {
    port,
    [Symbol.asyncDispose]: async () => {
      await broker.stop({ graceMs: 500 });
      await portMapper.stop();
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}
