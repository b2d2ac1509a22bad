// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startTestAgent, type TestAgent } from "./agent.ts";
import { eventually } from "./eventually.ts";
import type { FlatSpan } from "./otlp-json.ts";
import { freePorts } from "./proc-net.ts";
import { type RunningProcess, type StartOptions, startProcess } from "./process.ts";

const APPS = join(import.meta.dirname, "..", "apps");
const SETPRIV = "/usr/bin/setpriv";
const POSTGRESQL_PACKAGES = "/usr/lib/postgresql";

/** A real server with an empty folder of its own. */
export interface DatabaseServer {
  readonly process: RunningProcess;
  readonly port: number;
  [Symbol.asyncDispose](): Promise<void>;
}

async function startServer(
  folder: string,
  options: (port: number) => StartOptions,
): Promise<DatabaseServer> {
  const [port = 0] = await freePorts(1);
  const started = await startProcess({ ...options(port), readyPort: port });
  return {
    process: started,
    port,
    [Symbol.asyncDispose]: async () => {
      await started[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function makeFolder(name: string): string {
  return mkdtempSync(join(tmpdir(), `backstitch-${name}-`));
}

export async function startRedis(): Promise<DatabaseServer> {
  const folder = makeFolder("redis");
  return await startServer(folder, (port) => ({
    command: "redis-server",
    args: ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder],
  }));
}

export async function startMemcached(): Promise<DatabaseServer> {
  return await startServer(makeFolder("memcached"), (port) => ({
    command: "memcached",
    args: ["-u", "root", "-l", "127.0.0.1", "-p", String(port), "-U", "0", "-t", "2"],
  }));
}

/** Trusts the user `tester`, who owns everything. */
export async function startPostgresql(): Promise<DatabaseServer> {
  // The server refuses to run as root.
  const asPostgres = ["--reuid", "postgres", "--regid", "postgres", "--clear-groups"];
  const [version = ""] = readdirSync(POSTGRESQL_PACKAGES).sort().reverse();
  const bin = join(POSTGRESQL_PACKAGES, version, "bin");
  const folder = makeFolder("postgresql");
  execFileSync("chown", ["postgres:postgres", folder]);
  chmodSync(folder, 0o700);
  const initdb = [join(bin, "initdb"), "-D", folder, "-A", "trust", "-U", "tester", "-N"];
  execFileSync(SETPRIV, [...asPostgres, ...initdb], { stdio: "pipe", cwd: "/" });
  return await startServer(folder, (port) => ({
    command: SETPRIV,
    args: [
      ...[...asPostgres, join(bin, "postgres"), "-D", folder, "-p", String(port)],
      ...["-h", "127.0.0.1", "-k", "", "-F"],
    ],
    cwd: "/",
  }));
}

/** With the user `tester`, password `secret`, and the empty databases `shop` and `other`. */
export async function startMariadb(): Promise<DatabaseServer> {
  const folder = makeFolder("mariadb");
  const data = join(folder, "data");
  execFileSync(
    "mariadb-install-db",
    [
      ...["--no-defaults", "--user=root", `--datadir=${data}`, "--skip-test-db"],
      "--auth-root-authentication-method=normal",
    ],
    { stdio: "pipe" },
  );
  const server = await startServer(folder, (port) => ({
    command: "/usr/sbin/mariadbd",
    args: [
      ...["--no-defaults", "--user=root", `--datadir=${data}`, `--socket=${folder}/socket`],
      ...["--bind-address=127.0.0.1", `--port=${port}`, "--local-infile=1"],
      ...["--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=16M"],
    ],
  }));
  const sql = [
    "CREATE USER tester@'127.0.0.1' IDENTIFIED BY 'secret'",
    "GRANT ALL ON *.* TO tester@'127.0.0.1'",
    "CREATE DATABASE shop",
    "CREATE DATABASE other",
  ];
  execFileSync("mariadb", ["--no-defaults", "-u", "root", "-S", `${folder}/socket`], {
    input: `${sql.join(";\n")};\n`,
  });
  return server;
}

/** A server of MongoDB's wire protocol in Java, see test/mongodb. */
export async function startMongodb(): Promise<DatabaseServer> {
  const folder = join(import.meta.dirname, "..", "mongodb");
  const jars = execFileSync(join(folder, "build.sh"), { encoding: "utf8" }).trim();
  return await startServer(makeFolder("mongodb"), (port) => ({
    command: "java",
    args: ["-Xmx128m", "-cp", `${jars}/*`, join(folder, "Server.java"), String(port)],
    readyTimeoutMs: 40_000,
  }));
}

/** Debian's, of 2018: the only server of this protocol in a registry. */
export async function startClickHouse(): Promise<DatabaseServer> {
  const folder = makeFolder("clickhouse");
  const config = join(folder, "config.xml");
  const users = join(folder, "users.xml");
  const user =
    "<password/><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota>";
  const defaults = "<profiles><default/></profiles><quotas><default/></quotas>";
  writeFileSync(users, `<yandex>${defaults}<users><default>${user}</default></users></yandex>`);
  return await startServer(folder, (port) => {
    const settings = {
      logger: "<level>none</level>",
      tcp_port: String(port),
      listen_host: "127.0.0.1",
      path: `${folder}/data/`,
      tmp_path: `${folder}/tmp/`,
      users_config: users,
      default_profile: "default",
      default_database: "default",
      mark_cache_size: "1048576",
    };
    const lines = Object.entries(settings).map(([name, value]) => `<${name}>${value}</${name}>`);
    writeFileSync(config, `<yandex>${lines.join("\n")}</yandex>`);
    return { command: "/usr/sbin/clickhouse-server", args: [`--config-file=${config}`] };
  });
}

/** What Cassandra needs of Java's own modules. */
const CASSANDRA_OPENS = [
  ...["jdk.internal.misc", "jdk.internal.ref", "sun.nio.ch", "java.io", "java.lang", "java.net"],
  ...["java.lang.module", "jdk.internal.loader", "jdk.internal.reflect", "jdk.internal.math"],
  ...["jdk.internal.module", "jdk.internal.util.jar", "java.nio", "java.util", "java.math"],
  ...["java.util.concurrent", "java.util.concurrent.atomic", "java.lang.reflect", "java.lang.ref"],
].map((name) => `--add-opens=java.base/${name}=ALL-UNNAMED`);

/** A single node, see test/cassandra; ready after some ten seconds. */
export async function startCassandra(): Promise<DatabaseServer> {
  const source = join(import.meta.dirname, "..", "cassandra");
  const jars = execFileSync(join(source, "build.sh"), { encoding: "utf8" }).trim();
  const folder = makeFolder("cassandra");
  const [storagePort = 0] = await freePorts(1);
  return await startServer(folder, (port) => {
    const template = readFileSync(join(source, "cassandra.yaml"), "utf8");
    const config = join(folder, "cassandra.yaml");
    writeFileSync(
      config,
      template
        .replaceAll("FOLDER", folder)
        .replaceAll("STORAGE_PORT", String(storagePort))
        .replaceAll("NATIVE_PORT", String(port)),
    );
    return {
      command: "java",
      args: [
        ...["-Xmx384m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", ...CASSANDRA_OPENS],
        "--add-opens=jdk.management/com.sun.management.internal=ALL-UNNAMED",
        "--add-exports=java.management.rmi/com.sun.jmx.remote.internal.rmi=ALL-UNNAMED",
        ...["rmi.registry", "rmi.server"].map(
          (name) => `--add-exports=java.rmi/sun.${name}=ALL-UNNAMED`,
        ),
        ...[`-Dcassandra.config=file://${config}`, `-Dcassandra.storagedir=${folder}`],
        `-Dlogback.configurationFile=${join(source, "logback.xml")}`,
        ...["-Dcassandra-foreground=yes", "-Dcassandra.superuser_setup_delay_ms=0"],
        ...["-Dcassandra.skip_wait_for_gossip_to_settle=0", "-Dcassandra.ring_delay_ms=0"],
        ...["-cp", `${jars}/*`, "org.apache.cassandra.service.CassandraDaemon"],
      ],
      readyTimeoutMs: 90_000,
    };
  });
}

/** A script of test/apps that waits for its signal, works, and says `done`. */
export async function startSession(
  script: string,
  ...args: readonly (number | string)[]
): Promise<RunningProcess> {
  return await startProcess({
    command: "/usr/bin/python3",
    args: [join(APPS, script), ...args.map(String)],
    readyOutput: /waiting/,
  });
}

export async function runSession(client: RunningProcess): Promise<void> {
  process.kill(client.pid, "SIGUSR1");
  await eventually(
    async () => client.output(),
    (output) => /done|Error/.test(output),
  );
  assert.match(client.output(), /done/);
}

export interface ObservedSession {
  readonly agent: TestAgent;
  readonly clients: readonly FlatSpan[];
  readonly servers: readonly FlatSpan[];
  [Symbol.asyncDispose](): Promise<void>;
}

/** Runs a session while an agent watches both ends, until `count` spans of each are there. */
export async function observeSession(
  server: DatabaseServer,
  client: RunningProcess,
  count: number,
): Promise<ObservedSession> {
  const pids = [server.process.pid, client.pid];
  const agent = await startTestAgent({
    targets: `[{pids: [${pids[0]}], name: database}, {pids: [${pids[1]}], name: app}]`,
  });
  try {
    await runSession(client);
    const spans = await agent.spansWhen(2 * count);
    return {
      agent,
      clients: spans.filter(({ kind }) => kind === "client"),
      servers: spans.filter(({ kind }) => kind === "server"),
      [Symbol.asyncDispose]: async () => await agent[Symbol.asyncDispose](),
    };
  } catch (error) {
    await agent[Symbol.asyncDispose]();
    throw error;
  }
}

/** `name | text !error`, without what is not there. */
export function lineOf(span: FlatSpan): string {
  const text = span.attributes.get("db.query.text");
  const error = span.attributes.get("error.type");
  const line = text === undefined ? span.name : `${span.name} | ${String(text)}`;
  return error === undefined ? line : `${line} !${String(error)}`;
}

/** Each operation once at either end, and its two spans carry one name. */
export function assertSession(session: ObservedSession, expected: readonly string[]): void {
  const sorted = [...expected].sort();
  assert.deepEqual(session.clients.map(lineOf).sort(), sorted);
  assert.deepEqual(session.servers.map(lineOf).sort(), sorted);
  const ids = new Set(session.clients.map(({ spanId }) => spanId));
  assert.equal(ids.size, expected.length);
  for (const span of session.servers) assert.ok(ids.has(span.parentSpanId), lineOf(span));
  for (const span of session.clients) assert.equal(span.service, "app");
}
