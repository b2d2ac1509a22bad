// SPDX-License-Identifier: Apache-2.0
import type { AttachRequest } from "./attach.ts";
import type { UprobeMultiPlace, UprobeMultiTarget } from "./attach-target.ts";
import { BpfError, errnoName } from "./errors.ts";
import { FunctionIndex } from "./function-offsets.ts";
import type { NativeLink } from "./native.ts";

/** A function that the kernel could not probe and that was left out. */
export interface RejectedTarget {
  readonly symbol: string | undefined;
  readonly offset: number;
  /** The kernel's errno for it alone: `ENOTSUPP` for an instruction that cannot be probed. */
  readonly errno: string;
}

interface Place {
  readonly symbol: string | undefined;
  readonly offset: number;
  readonly cookie: bigint;
}

const EVERY_PROCESS = -1;
/** What the kernel says of one bad place; everything else concerns the whole call. */
const PLACE_ERRNOS: ReadonlySet<string> = new Set(["524", "22", "5", "95", "17", "38"]);

function resolvePlaces(index: FunctionIndex, place: UprobeMultiPlace): readonly Place[] {
  const { cookie = 0n } = place;
  if ("pattern" in place) {
    return index.matching(place.pattern).map((each) => ({ ...each, cookie }));
  }
  if (place.symbol !== undefined) {
    return index.find(place.symbol).map((each) => ({ ...each, cookie }));
  }
  return [{ symbol: undefined, offset: place.offset, cookie }];
}

/** The places, each offset once: two names of one function are one probe. */
function resolveAll(target: UprobeMultiTarget): readonly Place[] {
  using index = FunctionIndex.open(target.path);
  const places = new Map<number, Place>();
  for (const wanted of target.targets) {
    for (const place of resolvePlaces(index, wanted)) {
      if (!places.has(place.offset)) {
        places.set(place.offset, place);
      }
    }
  }
  if (places.size === 0) {
    throw new BpfError({
      code: "UNKNOWN_NAME",
      message: `attach to ${target.path}: no function fits. Look at what it has with FunctionIndex.`,
    });
  }
  return [...places.values()];
}

function codeOf(cause: unknown): string {
  return cause instanceof Error && "code" in cause ? String(cause.code) : "";
}

/** Attaches to all places at once; on a refusal halves them until the bad ones are known. */
export function attachUprobeMulti(
  { object, program, section }: AttachRequest,
  target: UprobeMultiTarget,
): { readonly link: NativeLink; readonly rejected: readonly RejectedTarget[] } {
  const isReturn = target.isReturn ?? section.startsWith("uretprobe");
  const isSession = target.isSession ?? section.startsWith("uprobe.session");
  const options = { path: target.path, pid: target.pid ?? EVERY_PROCESS, isReturn, isSession };
  const attach = (places: readonly Place[]): NativeLink =>
    object.attachUprobeMulti(
      program,
      options,
      BigUint64Array.from(places, (each) => BigInt(each.offset)),
      BigUint64Array.from(places, (each) => each.cookie),
    );
  const rejected: RejectedTarget[] = [];
  const probeable = (places: readonly Place[]): readonly Place[] => {
    try {
      attach(places).detach();
      return places;
    } catch (cause) {
      const code = codeOf(cause);
      const [only, second] = places;
      if (only === undefined || !PLACE_ERRNOS.has(code)) {
        throw cause;
      }
      if (second === undefined) {
        rejected.push({ symbol: only.symbol, offset: only.offset, errno: errnoName(Number(code)) });
        return [];
      }
      const middle = places.length >> 1;
      return [...probeable(places.slice(0, middle)), ...probeable(places.slice(middle))];
    }
  };
  const all = resolveAll(target);
  try {
    return { link: attach(all), rejected };
  } catch (cause) {
    if (target.skipUnprobeable === false || !PLACE_ERRNOS.has(codeOf(cause))) {
      throw cause;
    }
    const good = probeable(all);
    if (good.length === 0) {
      throw cause;
    }
    return { link: attach(good), rejected };
  }
}
