// SPDX-License-Identifier: Apache-2.0
// A kernel without BTF: where it hides, in a mount namespace of the test's own.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { release, tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

import { buildObjects, kernelTest, objectPath } from "./support.ts";

buildObjects();

const run = promisify(execFile);
const INDEX = new URL("../src/index.ts", import.meta.url).href;
const BTF = "/sys/kernel/btf/vmlinux";

/** Runs lines where the kernel has no BTF; gives what they print. */
async function withoutBtf(lines: string): Promise<string> {
  const script = `
    import { BpfError, hasTracepoint, isUsable, openObject, probeAll } from ${JSON.stringify(INDEX)};
    const said = (attempt) => {
      try {
        return attempt();
      } catch (error) {
        if (!(error instanceof BpfError)) throw error;
        return [error.code, error.errno, error.message].join(" ").replaceAll("\\n", " ");
      }
    };
    ${lines}`;
  const hide = 'mount -t tmpfs none /sys/kernel/btf && exec "$@"';
  const node = [process.execPath, "--input-type=module", "-e", script];
  const { stdout } = await run("unshare", ["--mount", "sh", "-c", hide, "sh", ...node]);
  return stdout.trim();
}

kernelTest("without BTF each use of it is a typed error, and the report says so", async () => {
  const text = await withoutBtf(`
    console.log(said(() => openObject(${JSON.stringify(objectPath("ring"))}).load()));
    console.log(said(() => hasTracepoint("sys_enter")));
    const report = probeAll();
    console.log(isUsable(report), report.btf.errno, report.btf.advice);`);
  const [load = "", look = "", report = ""] = text.split("\n");
  assert.match(load, /^\w+ \w+ load .* kernel BTF is missing/);
  assert.match(look, /^NOT_SUPPORTED ENOENT load the kernel's BTF: ENOENT\. Needs/);
  assert.match(report, /^false ENOENT .*CONFIG_DEBUG_INFO_BTF/);
});

kernelTest(
  "BTF from a file, or from a folder by the kernel's release, stands in for it",
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "libbpf-ts-btf-"));
    try {
      const path = join(folder, `${release()}.btf`);
      copyFileSync(BTF, path);
      const object = JSON.stringify(objectPath("relocated"));
      const text = await withoutBtf(`
      for (const options of [
        {}, { btfPath: ${JSON.stringify(path)} }, { btfFolder: ${JSON.stringify(folder)} },
      ]) console.log(said(() => {
        const object = openObject(${object}, options);
        object.rodata.set({ target_pid: process.pid });
        using loaded = object.load();
        loaded.attachAll();
        void process.ppid;
        using bss = loaded.mapGlobal(".bss");
        return Number(bss.get("seen_pid")) === process.pid;
      }));`);
      const [without = "", byPath, byRelease] = text.split("\n");
      assert.match(without, /^\w+ \w+ load .* kernel BTF is missing/);
      assert.deepEqual([byPath, byRelease], ["true", "true"]);
      writeFileSync(path, "damaged");
      const damaged = await withoutBtf(`
      console.log(said(() => openObject(${object}, { btfPath: ${JSON.stringify(path)} }).load()));`);
      assert.match(damaged, /^LOAD LIBBPF_ERRNO__FORMAT load object: .*damaged/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
);
