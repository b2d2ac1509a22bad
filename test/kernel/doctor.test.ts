// SPDX-License-Identifier: Apache-2.0
// `backstitch doctor` on the kernel at hand: as root, without privileges, without BTF.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { z } from "zod";

const MAIN = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
const NOBODY = 65534;

const reportSchema = z.object({
  ok: z.boolean(),
  kernel: z.string(),
  findings: z.array(
    z.object({
      id: z.string(),
      verdict: z.enum(["works", "falls_back", "missing", "unused"]),
      isEssential: z.boolean(),
      why: z.string(),
      advice: z.string(),
    }),
  ),
});
type Report = z.infer<typeof reportSchema>;

interface Ended {
  readonly code: number;
  readonly stdout: string;
}

function run(file: string, args: readonly string[], uid?: number): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const user = uid === undefined ? {} : { uid, gid: uid, env: {} };
    const child = execFile(file, [...args], user, (error, stdout, stderr) => {
      if (child.exitCode === null) reject(error ?? new Error(stderr));
      else if (stdout === "") reject(new Error(stderr));
      else resolve({ code: child.exitCode, stdout });
    });
  });
}

async function doctor(args: readonly string[], uid?: number): Promise<Report & { code: number }> {
  const words = ["--disable-warning=ExperimentalWarning", MAIN, "doctor", "--json", ...args];
  const { code, stdout } = await run(process.execPath, words, uid);
  return { ...reportSchema.parse(JSON.parse(stdout)), code };
}

function verdicts(report: Report, ids: readonly string[]): readonly string[] {
  return ids.map((id) => {
    const found = report.findings.find((each) => each.id === id);
    return `${id} ${found?.verdict}`;
  });
}

function pipeline(receiver: string, exporter = "nop: {}"): readonly string[] {
  const text = `
receivers: {${receiver}}
exporters: {${exporter}}
extensions: {discovery: {targets: [{ports: 1}]}}
service:
  ${receiver.startsWith("ebpf") ? "extensions: [discovery]" : ""}
  telemetry: {metrics: {level: none}}
  pipelines:
    traces: {receivers: [${receiver.split(":")[0]}], exporters: [${exporter.split(":")[0]}]}`;
  return ["--config", `yaml:${text}`];
}

test("as root everything essential works, and each finding that does not advises", async () => {
  const report = await doctor([]);
  assert.equal(report.code, 0);
  assert.equal(report.ok, true);
  const ids = ["privileges", "btf", "tracing", "ring_buffer", "discovery", "hooks", "io_uring"];
  assert.deepEqual(
    verdicts(report, ids),
    ids.map((id) => `${id} works`),
  );
  for (const { id, verdict, why, advice } of report.findings) {
    assert.notEqual(why, "", id);
    assert.equal(advice === "", verdict === "works" || verdict === "unused", id);
  }
  const { code, stdout } = await run(process.execPath, [MAIN, "doctor"]);
  assert.equal(code, 0);
  assert.match(stdout, /\n {2}yes {2}Capture of socket messages: in the sockets \(sock\)\n/);
});

test("another user is told what is missing, and ends with 1", async () => {
  const report = await doctor([], NOBODY);
  assert.deepEqual([report.code, report.ok], [1, false]);
  assert.deepEqual(verdicts(report, ["privileges", "hooks", "discovery", "btf"]), [
    "privileges missing",
    "hooks missing",
    "discovery missing",
    "btf works",
  ]);
  const otlp = await doctor(
    pipeline('otlp: {protocols: {http: {endpoint: "127.0.0.1:0"}}}'),
    NOBODY,
  );
  assert.deepEqual([otlp.code, otlp.ok], [0, true], "which needs no privileges");
});

test("a kernel without type information is told so", async () => {
  // In a mount namespace of its own, so that nobody else misses it.
  const hide = 'mount -t tmpfs none /sys/kernel/btf && exec "$@"';
  const words = [process.execPath, MAIN, "doctor", "--json"];
  const { code, stdout } = await run("unshare", ["--mount", "sh", "-c", hide, "sh", ...words]);
  const report = reportSchema.parse(JSON.parse(stdout));
  assert.equal(code, 1);
  assert.deepEqual(verdicts(report, ["btf", "hooks", "privileges"]), [
    "btf missing",
    "hooks missing",
    "privileges works",
  ]);
  const btf = report.findings.find((each) => each.id === "btf");
  assert.match(btf?.advice ?? "", /CONFIG_DEBUG_INFO_BTF/);
});

test("a configuration is checked for its hooks, ports and destinations", async () => {
  const held = createServer().listen(0, "127.0.0.1");
  await once(held, "listening");
  const address = held.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  try {
    const taken = await doctor(
      pipeline(`otlp: {protocols: {http: {endpoint: "127.0.0.1:${port}"}}}`),
    );
    assert.deepEqual([taken.code, taken.ok], [1, false]);
    assert.deepEqual(verdicts(taken, [`listen:receivers::otlp:${port}`, "hooks"]), [
      `listen:receivers::otlp:${port} missing`,
      "hooks unused",
    ]);
    const target = `otlp_grpc: {endpoint: "127.0.0.1:${port}"}`;
    const answers = await doctor(pipeline("ebpf_l7: {hooks: syscalls}", target));
    assert.deepEqual(verdicts(answers, ["connect:exporters::otlp_grpc", "hooks", "io_uring"]), [
      "connect:exporters::otlp_grpc works",
      "hooks works",
      "io_uring missing",
    ]);
    assert.equal(answers.code, 0);
  } finally {
    held.close();
  }
  await once(held, "close");
  const gone = await doctor(pipeline("ebpf_l7: {}", `otlp_grpc: {endpoint: "127.0.0.1:${port}"}`));
  assert.deepEqual(verdicts(gone, ["connect:exporters::otlp_grpc"]), [
    "connect:exporters::otlp_grpc falls_back",
  ]);
});
