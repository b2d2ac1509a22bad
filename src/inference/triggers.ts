// SPDX-License-Identifier: Apache-2.0
/** What a model needs of a handled call's children: columns by child, children by start time. */
export interface ChildColumns {
  readonly kind: Int32Array;
  readonly startUs: Float64Array;
  readonly endUs: Float64Array;
  /** Latest end, before its start, of any call of its kind in the service; NaN without one. */
  readonly releaseUs: Float64Array;
  /** How long the callee worked, where known, else how long the call took. */
  readonly workUs: Float64Array;
}

/** An incoming call. */
export interface Handled {
  readonly startUs: number;
  readonly endUs: number;
  /** Latest end of the other incoming calls known to belong to the same trace; NaN without. */
  readonly joinUs: number;
}

/** The handler's own start. */
export const FROM_START: number = 0;
/** The latest of the handler's start and its calls' ends so far. */
export const FROM_LATEST_END: number = 1;
/** The latest start of an earlier call. */
export const FROM_LATEST_START: number = 2;
/** The latest end of another handler of the same trace in this service. */
export const FROM_JOIN: number = 3;
/**
 * The latest of the same as FROM_LATEST_END and the end of any handler's call of the kind: where
 * calls wait for a connection, the next begins when one ends, whoever made it.
 */
export const FROM_RELEASE: number = 4;
/** From here on: the latest end (even) or start (odd) of a call of one kind. */
export const FROM_KINDS: number = 6;
/** Earlier calls that are looked at for a trigger. */
const LOOK_BACK = 32;

export function slotKey(children: readonly number[], index: number, kinds: Int32Array): number {
  const kind = kinds[children[index] ?? 0] ?? 0;
  for (let i = index - 1; i >= 0 && i >= index - LOOK_BACK; i--) {
    if (kinds[children[i] ?? 0] === kind) return 2 * kind + 1;
  }
  return 2 * kind;
}

/** When the trigger of the event at `atUs` happened; NaN when it did not. */
export function triggerTime(
  trigger: number,
  handled: Handled,
  atUs: number,
  children: readonly number[],
  index: number,
  columns: ChildColumns,
): number {
  if (trigger === FROM_START) return handled.startUs;
  if (trigger === FROM_JOIN) {
    const joinUs = Math.max(handled.joinUs, handled.startUs);
    return joinUs <= atUs ? joinUs : Number.NaN;
  }
  let latest = Number.NaN;
  if (trigger === FROM_LATEST_END) latest = handled.startUs;
  if (trigger === FROM_RELEASE) {
    const releaseUs = columns.releaseUs[children[index] ?? -1] ?? Number.NaN;
    latest = Number.isNaN(releaseUs) ? handled.startUs : Math.max(releaseUs, handled.startUs);
  }
  const stop = Math.max(0, index - LOOK_BACK);
  for (let i = index - 1; i >= stop; i--) {
    const child = children[i] ?? 0;
    if (trigger === FROM_LATEST_START) return columns.startUs[child] ?? 0;
    if (trigger >= FROM_KINDS) {
      if (columns.kind[child] !== (trigger - FROM_KINDS) >> 1) continue;
      if ((trigger & 1) === 1) return columns.startUs[child] ?? 0;
    }
    const endUs = columns.endUs[child] ?? 0;
    if (endUs <= atUs && !(endUs <= latest)) latest = endUs;
  }
  return latest;
}

export function triggerName(trigger: number, kindName: (kind: number) => string): string {
  if (trigger === FROM_START) return "start";
  if (trigger === FROM_LATEST_END) return "latest end";
  if (trigger === FROM_LATEST_START) return "latest start";
  if (trigger === FROM_RELEASE) return "latest end or release";
  if (trigger === FROM_JOIN) return "others of the trace";
  const kind = kindName((trigger - FROM_KINDS) >> 1);
  return `${(trigger & 1) === 1 ? "start" : "end"} of ${kind}`;
}
