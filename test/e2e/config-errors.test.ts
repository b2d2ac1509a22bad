// SPDX-License-Identifier: Apache-2.0
// A configuration that is wrong is refused, with its place, before anything is attached.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

const BACKSTITCH = join(import.meta.dirname, "../../bin/backstitch");

interface Refusal {
  readonly code: number | null;
  readonly stderr: string;
  readonly file: string;
  /** Times that we looked at its descriptors, and those of BPF that we saw. */
  readonly looks: number;
  readonly bpf: readonly string[];
}

function bpfDescriptors(pid: number | undefined): readonly string[] {
  try {
    const folder = `/proc/${pid}/fd`;
    return readdirSync(folder)
      .map((fd) => readlinkSync(join(folder, fd)))
      .filter((link) => /^anon_inode:\[?bpf/.test(link));
  } catch {
    return [];
  }
}

async function start(config: string, args: readonly string[] = []): Promise<Refusal> {
  const folder = mkdtempSync(join(tmpdir(), "config-errors-"));
  const file = join(folder, "agent.yaml");
  writeFileSync(file, config);
  const child = spawn(BACKSTITCH, ["--config", file, ...args], {
    stdio: ["ignore", "ignore", "pipe"],
    env: { ...process.env, NODE_TEST_CONTEXT: undefined },
    cwd: folder,
  });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const seen = { looks: 0, bpf: new Set<string>() };
  const watch = setInterval(() => {
    seen.looks += 1;
    for (const link of bpfDescriptors(child.pid)) seen.bpf.add(link);
  }, 2);
  const deadline = setTimeout(() => child.kill("SIGKILL"), 20_000);
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  clearInterval(watch);
  clearTimeout(deadline);
  rmSync(folder, { recursive: true, force: true });
  return { code, stderr, file, looks: seen.looks, bpf: [...seen.bpf] };
}

/** A whole configuration, right but for what a test changes. */
function config(change: { readonly [line: string]: string }): string {
  const right = `extensions:
  discovery:
    targets:
      - ports: 18080
receivers:
  ebpf_l7:
    ring_size: 16MiB
processors:
  batch:
exporters:
  otlp_grpc:
    endpoint: localhost:4317
service:
  extensions: [discovery]
  telemetry: {metrics: {level: none}}
  pipelines:
    traces:
      receivers: [ebpf_l7]
      processors: [batch]
      exporters: [otlp_grpc]
`;
  let text = right;
  for (const [line, replacement] of Object.entries(change)) {
    assert.ok(text.includes(line), line);
    text = text.replace(line, replacement);
  }
  return text;
}

const CASES = [
  {
    name: "an unknown key",
    text: config({ "- ports: 18080": "- port: 18080" }),
    place: "4:9",
    says: [/extensions::discovery::targets/, /unknown key/, /Did you mean "ports"/],
  },
  {
    name: "a value of the wrong kind",
    text: config({ "ring_size: 16MiB": "ring_size: 15MiB" }),
    place: "7:16",
    says: [/receivers::ebpf_l7::ring_size/, /power of two/],
  },
  {
    name: "a component that does not exist",
    text: config({ "  batch:": "  bach:" }),
    place: "9:3",
    says: [/Did you mean "batch"/],
  },
  {
    name: "a pipeline that names what is not configured",
    text: config({ "receivers: [ebpf_l7]": "receivers: [ebpf_l4]" }),
    place: "18:19",
    says: [/ebpf_l4/],
  },
  {
    name: "text that is no YAML",
    text: config({ "targets:": "targets: [" }),
    place: "4:7",
    says: [/invalid YAML/],
  },
] as const;

for (const { name, text, place, says } of CASES) {
  test(`${name} is refused with file, line and column, before anything is attached`, async () => {
    const { code, stderr, file, looks, bpf } = await start(text);
    assert.equal(code, 1, stderr);
    assert.ok(stderr.includes(`${file}:${place}`), stderr);
    for (const wanted of says) assert.match(stderr, wanted);
    assert.doesNotMatch(stderr, /Starting extensions|Capture attached|at .*\.ts:\d+/);
    assert.ok(looks > 10, "it was watched");
    assert.deepEqual(bpf, []);
  });
}

test("all problems are reported at once, in the order of the file", async () => {
  const text = config({ "ring_size: 16MiB": "ring_size: 3", "- ports: 18080": "- ports: x" });
  const { code, stderr, file } = await start(text);
  assert.equal(code, 1);
  const places = [...stderr.matchAll(/agent\.yaml:(\d+):\d+/g)].map((match) => Number(match[1]));
  assert.ok(stderr.includes(file));
  assert.deepEqual(places, [4, 7]);
});

test("a receiver without its discovery extension says what to add", async () => {
  const text = config({ "  extensions: [discovery]\n": "" });
  const { code, stderr } = await start(text);
  assert.equal(code, 1);
  assert.match(stderr, /ebpf_l7.*discovery.*Add it to extensions and to service::extensions/);
});
