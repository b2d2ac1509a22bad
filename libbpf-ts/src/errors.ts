// SPDX-License-Identifier: Apache-2.0
import { getSystemErrorMap } from "node:util";

/**
 * What kind of failure it was. Codes are never renamed.
 *
 * - `OPEN`: the file cannot be read, or is not a BPF object.
 * - `VERIFIER`: the kernel's verifier refused a program; `log` holds its whole log.
 * - `LOAD`, `ATTACH`, `MAP`, `KERNEL`: the kernel refused that operation; see `errno`.
 * - `NOT_SUPPORTED`: this kernel does not have it ({@link NotSupportedError}).
 * - `UNKNOWN_NAME`: no program, map or variable of that name.
 * - `ARGUMENT`: a value that the call cannot take.
 * - `CLOSED`: used after `close` or `detach`.
 * - `ADDON`: the native addon is missing. `INTERNAL`: a fault of libbpf-ts itself.
 */
export type BpfErrorCode =
  | "OPEN"
  | "VERIFIER"
  | "LOAD"
  | "ATTACH"
  | "MAP"
  | "KERNEL"
  | "NOT_SUPPORTED"
  | "UNKNOWN_NAME"
  | "ARGUMENT"
  | "CLOSED"
  | "ADDON"
  | "INTERNAL";

export interface BpfErrorFields {
  readonly code: BpfErrorCode;
  readonly message: string;
  readonly errno?: number | undefined;
  readonly program?: string | undefined;
  readonly instruction?: number | undefined;
  readonly log?: string | undefined;
  readonly cause?: unknown;
}

/** The one class of errors that this package throws. */
export class BpfError extends Error {
  override readonly name: string = "BpfError";
  readonly code: BpfErrorCode;
  /** The errno's name (`EPERM`), where the kernel or libbpf gave one. */
  readonly errno: string | undefined;
  /** The program that was refused or meant, where there is one. */
  readonly program: string | undefined;
  /** The instruction of the program that the verifier stopped at, where its log says. */
  readonly instruction: number | undefined;
  /**
   * All that libbpf and the verifier said; empty when nothing was said. Of a log beyond 16 MiB the
   * beginning and the end.
   */
  readonly log: string;

  constructor(fields: BpfErrorFields) {
    super(fields.message, fields.cause === undefined ? undefined : { cause: fields.cause });
    this.code = fields.code;
    this.errno = fields.errno === undefined ? undefined : errnoName(fields.errno);
    this.program = fields.program;
    this.instruction = fields.instruction;
    this.log = fields.log ?? "";
  }

  /** The last lines of `log` that are not empty. */
  logTail(linesMax: number): readonly string[] {
    return lastLines(this.log, linesMax);
  }
}

/** This kernel does not have what was asked for; everything else is a failure. */
export class NotSupportedError extends BpfError {
  override readonly name: string = "NotSupportedError";
}

/** Linux's own numbers that user space's tables leave out, and one that has two names there. */
const KERNEL_ONLY: ReadonlyMap<number, string> = new Map([
  [95, "EOPNOTSUPP"],
  [524, "ENOTSUPP"],
]);
/** `LIBBPF_ERRNO__*` of `bpf/libbpf_legacy.h`, by their order. */
const LIBBPF_FIRST = 4000;
const LIBBPF_NAMES = [
  ...["LIBELF", "FORMAT", "KVERSION", "ENDIAN", "INTERNAL", "RELOC", "LOAD", "VERIFY"],
  ...["PROG2BIG", "KVER", "PROGTYPE", "WRNGPID", "INVSEQ", "NLPARSE"],
];

export function errnoName(errno: number): string {
  const ofLibbpf = LIBBPF_NAMES[errno - LIBBPF_FIRST];
  if (ofLibbpf !== undefined) {
    return `LIBBPF_ERRNO__${ofLibbpf}`;
  }
  return KERNEL_ONLY.get(errno) ?? getSystemErrorMap().get(-errno)?.[0] ?? `errno ${errno}`;
}

export function lastLines(text: string, linesMax: number): readonly string[] {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  return lines.slice(Math.max(0, lines.length - linesMax));
}

/** A sentence of advice for an errno of the `bpf` family of calls; empty when there is none. */
export function adviceFor(errno: string): string {
  switch (errno) {
    case "EPERM":
    case "EACCES":
      return "Run as root or with CAP_BPF and CAP_PERFMON; a kernel lockdown can also forbid it.";
    case "ENOENT":
    case "ESRCH":
      return "This kernel does not have the hook or type that the program names.";
    case "ENOMEM":
    case "ENOSPC":
      return "The kernel is out of memory for this, or a map is full; make maps smaller.";
    case "E2BIG":
      return "Too big: a map that is full or larger than the kernel makes, or a program over its limit.";
    case "EMFILE":
      return "Raise the limit of open files (ulimit -n), or close what is not used.";
    case "EBUSY":
      return "Something else holds the hook; detach it first.";
    case "EINVAL":
      return "The kernel does not know this combination; its log says more where there is one.";
    case "ENOSYS":
    case "EOPNOTSUPP":
    case "ENOTSUPP":
      return "This kernel was built without it.";
    case "LIBBPF_ERRNO__LIBELF":
    case "LIBBPF_ERRNO__FORMAT":
    case "LIBBPF_ERRNO__ENDIAN":
      return "The file is damaged, or none that libbpf reads.";
    case "LIBBPF_ERRNO__RELOC":
      return "The object does not fit together; compile it again.";
    default:
      return "";
  }
}
