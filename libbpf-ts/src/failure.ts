// SPDX-License-Identifier: Apache-2.0
import { readCapabilities } from "./capabilities.ts";
import { adviceFor, BpfError, type BpfErrorCode, errnoName, NotSupportedError } from "./errors.ts";

/** What the caller was doing when the addon threw. */
export interface FailureContext {
  readonly code: BpfErrorCode;
  /** The operation and its object, for the message: `attach program "x"`. */
  readonly operation: string;
  readonly program?: string;
  readonly log?: string;
}

const FORBIDDEN =
  "This process has CAP_BPF and CAP_PERFMON: the kernel forbids it by its configuration, a lockdown " +
  "or another policy, or because of what is attached already.";
const NOT_SUPPORTED: ReadonlySet<string> = new Set(["ENOSYS", "EOPNOTSUPP", "ENOTSUPP"]);
/** libbpf's words when the kernel's BTF lacks the target of a program. */
const NO_TARGET =
  /(?:failed to find kernel BTF type ID|is not found in (?:vmlinux|kernel) BTF|failed to determine (?:k|u)probe perf type|failed to create kprobe .* perf event)/;

function nativeCode(cause: unknown): string {
  if (!(cause instanceof Error) || !("code" in cause) || typeof cause.code !== "string") {
    return "";
  }
  return cause.code;
}

/** Who holds the capabilities and is refused is not helped by the advice to get them. */
function adviceOn({ code }: FailureContext, errno: string): string {
  if (errno === "EPERM" && (code === "LOAD" || code === "ATTACH")) {
    const { bpf, perfmon, sysAdmin } = readCapabilities();
    return (bpf && perfmon) || sysAdmin ? FORBIDDEN : adviceFor(errno);
  }
  return adviceFor(errno);
}

function errnoError(context: FailureContext, errno: number, cause: unknown): BpfError {
  const name = errnoName(errno);
  const log = context.log ?? "";
  const isMissing = NOT_SUPPORTED.has(name) || NO_TARGET.test(log);
  const fields = {
    code: isMissing ? ("NOT_SUPPORTED" as const) : context.code,
    message: `${context.operation}: ${name}. ${adviceOn(context, name)}`.trimEnd(),
    errno,
    program: context.program,
    log,
    cause,
  };
  return isMissing ? new NotSupportedError(fields) : new BpfError(fields);
}

/** Makes a typed error of what the addon threw; the caller throws it. */
export function toBpfError(context: FailureContext, cause: unknown): BpfError {
  if (cause instanceof BpfError) {
    return cause;
  }
  const code = nativeCode(cause);
  const detail = cause instanceof Error ? cause.message : String(cause);
  const shared = { program: context.program, log: context.log, cause };
  if (/^\d+$/.test(code)) {
    return errnoError(context, Number(code), cause);
  }
  switch (code) {
    case "closed":
      return new BpfError({
        ...shared,
        code: "CLOSED",
        message: `${context.operation}: the ${detail} is closed. Open it again before use.`,
      });
    case "argument":
      return new BpfError({
        ...shared,
        code: "ARGUMENT",
        message: `${context.operation}: ${detail}.`,
      });
    case "unknown":
      return new BpfError({
        ...shared,
        code: "UNKNOWN_NAME",
        message: `${context.operation}: there is no ${detail}.`,
      });
    default:
      return new BpfError({
        ...shared,
        code: code.endsWith("Expected") || code === "InvalidArg" ? "ARGUMENT" : "INTERNAL",
        message: `${context.operation}: ${detail}`,
      });
  }
}

/** Runs a call into the addon and gives its errors their type. */
export function guarded<T>(context: FailureContext, call: () => T): T {
  try {
    return call();
  } catch (cause) {
    throw toBpfError(context, cause);
  }
}
