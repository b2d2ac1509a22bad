// SPDX-License-Identifier: Apache-2.0
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { BpfError, type FeatureReport, KernelBtf, openObject } from "libbpf-ts";
import { messageOf } from "../../component/errors.ts";

/** A program whose hook this kernel does not have. */
export interface MissingHook {
  readonly program: string;
  readonly section: string;
  readonly why: string;
}

/** What became of one of the agent's BPF objects when it was loaded. */
export interface ObjectFacts {
  /** The file's name without `.bpf.o`. */
  readonly name: string;
  /** Programs that were left out, because their hook is missing. */
  readonly missing: readonly MissingHook[];
  /** The kernel's refusal of all other programs; undefined when it took them. */
  readonly refusal: { readonly errno: string; readonly message: string } | undefined;
}

const SUFFIX = ".bpf.o";

/** Loads each of the agent's objects and frees it; nothing is attached. None without the folder. */
export function readObjects(folder: string, kernel: FeatureReport): readonly ObjectFacts[] {
  if (!existsSync(folder)) return [];
  using btf = kernel.btf.isSupported ? KernelBtf.load() : undefined;
  const whyNot = (section: string): string | undefined => missingHook(section, kernel, btf);
  return readdirSync(folder)
    .filter((file) => file.endsWith(SUFFIX) && !file.startsWith("test-"))
    .sort()
    .map((file) => readObject(join(folder, file), file.slice(0, -SUFFIX.length), whyNot));
}

function readObject(
  path: string,
  name: string,
  whyNot: (section: string) => string | undefined,
): ObjectFacts {
  const missing: MissingHook[] = [];
  try {
    using object = openObject(path);
    for (const program of object.programs) {
      const { section } = program;
      const why = whyNot(section);
      if (why === undefined) continue;
      missing.push({ program: program.name, section, why });
      program.setAutoload(false);
    }
    object.load().close();
    return { name, missing, refusal: undefined };
  } catch (error) {
    const errno = error instanceof BpfError ? (error.errno ?? error.code) : "";
    const message = messageOf(error).split("\n")[0] ?? "";
    return { name, missing, refusal: { errno, message } };
  }
}

/** Why a program's section cannot be attached here; undefined when it can, as far as is known. */
function missingHook(
  section: string,
  kernel: FeatureReport,
  btf: KernelBtf | undefined,
): string | undefined {
  const [kind = "", target = ""] = section.replace(/^\?/, "").split("/");
  if (kind === "tp_btf" || kind === "raw_tp") {
    const isThere = btf === undefined || target === "" || btf.hasTracepoint(target);
    return isThere ? undefined : `this kernel has no tracepoint ${target}`;
  }
  const result = kernel.attachKinds[attachKind(kind)];
  if (result === undefined || result.isSupported) return undefined;
  return `${kind}: ${result.errno}. ${result.advice}`;
}

/** As the report names the kinds. */
function attachKind(kind: string): string {
  return kind
    .replace(/^uretprobe/, "uprobe")
    .replace(/^kretprobe/, "kprobe")
    .replace(/\.s$/, "");
}
