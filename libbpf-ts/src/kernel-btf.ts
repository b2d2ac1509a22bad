// SPDX-License-Identifier: Apache-2.0
import { NotSupportedError } from "./errors.ts";
import { guarded, toBpfError } from "./failure.ts";
import { type NativeBtf, native } from "./native.ts";

/** `BTF_KIND_*` of `linux/btf.h`, as far as they name something to look for. */
export const BTF_KIND = { struct: 4, union: 5, enum: 6, typedef: 8, func: 12 } as const;

const ENOENT = 2;

function noBtf(cause: unknown): NotSupportedError {
  return new NotSupportedError({
    code: "NOT_SUPPORTED",
    message:
      "load the kernel's BTF: ENOENT. Needs a kernel with CONFIG_DEBUG_INFO_BTF=y, or BTF given by `btfPath`.",
    errno: ENOENT,
    cause,
  });
}

/** The running kernel's types (`/sys/kernel/btf/vmlinux`). Holds some 10 MB until closed. */
export class KernelBtf {
  readonly #native: NativeBtf;

  private constructor(handle: NativeBtf) {
    this.#native = handle;
  }

  /** @throws NotSupportedError when the kernel has no BTF. */
  static load(): KernelBtf {
    try {
      return new KernelBtf(native.NativeBtf.loadKernel());
    } catch (cause) {
      const error = toBpfError({ code: "KERNEL", operation: "load the kernel's BTF" }, cause);
      // libbpf says ESRCH when it has looked at all the places where BTF may be.
      throw error.errno === "ESRCH" || error.errno === "ENOENT" ? noBtf(cause) : error;
    }
  }

  /** Whether `tp_btf/<name>` has something to attach to. */
  hasTracepoint(name: string): boolean {
    return this.typeId(`btf_trace_${name}`, BTF_KIND.typedef) !== 0;
  }

  /** Whether a kernel function is known by name; kfuncs are such. */
  hasFunction(name: string): boolean {
    return this.typeId(name, BTF_KIND.func) !== 0;
  }

  /** Whether a struct has a direct member of that name. */
  hasMember(struct: string, member: string): boolean {
    const id = this.typeId(struct, BTF_KIND.struct);
    return id !== 0 && this.#call(() => this.#native.members(id)).includes(member);
  }

  /** The id of a type by name and kind, 0 when there is none. */
  typeId(name: string, kind: number): number {
    return this.#call(() => this.#native.find(name, kind));
  }

  /** A second call does nothing. */
  close(): void {
    this.#native.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #call<T>(call: () => T): T {
    return guarded({ code: "KERNEL", operation: "look up a kernel type" }, call);
  }
}

/** Whether this kernel has a BTF tracepoint. For several names use one {@link KernelBtf}. */
export function hasTracepoint(name: string): boolean {
  using btf = KernelBtf.load();
  return btf.hasTracepoint(name);
}
