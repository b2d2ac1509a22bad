// SPDX-License-Identifier: Apache-2.0
// What the agent recorded of a live run, played again, gives the spans of the live run.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { startTestAgent } from "../support/agent.ts";
import { runSession, startRedis, startSession } from "../support/databases.ts";
import { type FlatSpan, readOtlpJsonLines } from "../support/otlp-json.ts";
import { startProcess } from "../support/process.ts";

const BACKSTITCH = join(import.meta.dirname, "../../bin/backstitch");
const SECRETS = ["s3cret-query", "s3cret-token", "s3cret-body", "s3cret-answer"];

/** Answers with a length and in chunks, in turns; asks for nothing itself. */
const SERVER = `let count = 0;
require("node:http").createServer((request, response) => {
  request.resume().on("end", () => {
    const text = "s3cret-answer\\n" + "a1b2\\n".repeat(400);
    if (count++ % 2 === 0) response.setHeader("content-length", text.length);
    response.setHeader("set-cookie", "id=s3cret-token");
    response.write(text.slice(0, 100));
    setTimeout(() => response.end(text.slice(100)), 5);
  });
}).listen(0, "127.0.0.1", function () { console.log("port " + this.address().port); });`;

interface Folder extends Disposable {
  path(name: string): string;
}

function makeFolder(): Folder {
  const folder = mkdtempSync(join(tmpdir(), "backstitch-replay-"));
  return {
    path: (name) => join(folder, name),
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}

async function replay(folder: Folder, recording: string): Promise<readonly FlatSpan[]> {
  const output = folder.path("replayed.jsonl");
  const config = folder.path("replay.yaml");
  writeFileSync(
    config,
    `receivers: {replay: {path: ${recording}}}
processors: {span_stitch: {}, batch: {}}
exporters: {file: {path: ${output}}}
service:
  telemetry: {metrics: {level: none}}
  pipelines: {traces: {receivers: [replay], processors: [span_stitch, batch], exporters: [file]}}
`,
  );
  const child = spawn(BACKSTITCH, ["--config", config], { stdio: ["ignore", "pipe", "pipe"] });
  let log = "";
  child.stderr.on("data", (text: Buffer) => {
    log += text.toString();
  });
  const status = await new Promise((resolve) => child.once("close", resolve));
  assert.equal(status, 0, log);
  return readOtlpJsonLines(output);
}

/** All of a span as text, so that differences show. */
function told(spans: readonly FlatSpan[]): readonly string[] {
  return spans
    .map((span) => {
      const { spanId, parentSpanId, traceId, name, kind, startNs, endNs, statusCode } = span;
      const attributes = [...span.attributes, ...span.resource].map(
        ([key, value]) => `${key}=${String(value)}`,
      );
      const times = `${startNs}-${endNs}`;
      return [spanId, traceId, parentSpanId, kind, name, times, statusCode, ...attributes].join(
        " ",
      );
    })
    .toSorted();
}

for (const redact of [true, false]) {
  const how = redact ? "redacted, which is the default" : "with all payload";

  test(`a recorded run, ${how}, gives the same spans when it is played`, async () => {
    using folder = makeFolder();
    const recording = folder.path("run.bsrec");
    await using redis = await startRedis();
    await using session = await startSession("redis-session.py", redis.port);
    await using http = await startProcess({
      command: process.execPath,
      args: ["-e", SERVER],
      readyOutput: /port \d+/,
    });
    const port = Number(/port (\d+)/.exec(http.output())?.[1]);
    const pids = [redis.process.pid, session.pid, http.pid].join(", ");
    const live = await (async () => {
      await using agent = await startTestAgent({
        targets: `[{pids: [${pids}]}]`,
        capture: `{record: {path: ${recording}${redact ? "" : ", redact: false"}}}`,
      });
      await runSession(session);
      const urls = ["a", "b", "c"].map((name) => `http://127.0.0.1:${port}/${name}?q=s3cret-query`);
      const header = "Authorization: Bearer s3cret-token";
      const curl = await startProcess({
        command: "curl",
        args: ["-s", "-H", header, "-d", "s3cret-body", ...urls, "-w", "done\n"],
        readyOutput: /(done[\s\S]*){3}/,
      });
      await curl.ended;
      await agent.spansWhen(2 * 35 + 3);
      await agent.stop();
      return agent.spans();
    })();
    const names = new Set(live.map(({ name }) => name));
    assert.ok(names.has("POST /a") && names.has("SUBSCRIBE"), [...names].join());
    assert.deepEqual(told(await replay(folder, recording)), told(live));
    assert.equal(statSync(recording).mode & 0o777, 0o600);
    const text = readFileSync(recording).toString("latin1");
    for (const secret of SECRETS) assert.equal(text.includes(secret), !redact, secret);
  });
}
