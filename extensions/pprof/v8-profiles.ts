// SPDX-License-Identifier: Apache-2.0
import type { HeapProfiler, Profiler, Runtime } from "node:inspector";
import type { Frame, Profile, Sample } from "./profile-encoder.ts";

const NS_PER_US = 1_000;
const MS_PER_US = 1 / 1_000;
/** Stacks are as deep as V8 says; this bounds what a broken profile can do. */
const DEPTH_MAX = 512;

function frameOf(call: Runtime.CallFrame): Frame {
  const name = call.functionName === "" ? "(anonymous)" : call.functionName;
  return { name, file: call.url.replace(/^file:\/\//, ""), line: call.lineNumber + 1 };
}

/** Samples and CPU time by stack. */
export function cpuProfileOf(profile: Profiler.Profile, timeMs: number): Profile {
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]));
  const parents = new Map(
    profile.nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id] as const)),
  );
  const hits = new Map<number, { count: number; us: number }>();
  const { samples = [], timeDeltas = [] } = profile;
  samples.forEach((id, at) => {
    const hit = hits.get(id) ?? { count: 0, us: 0 };
    hit.count++;
    // The time until the next sample is this one's; negative ones are noise of the clock.
    hit.us += Math.max(0, timeDeltas[at + 1] ?? 0);
    hits.set(id, hit);
  });
  const stackOf = (leaf: number): Frame[] => {
    const stack: Frame[] = [];
    for (let id: number | undefined = leaf; id !== undefined && stack.length < DEPTH_MAX; ) {
      const node = nodes.get(id);
      if (node === undefined) break;
      if (node.callFrame.functionName !== "(root)") stack.push(frameOf(node.callFrame));
      id = parents.get(id);
    }
    return stack;
  };
  const isIdle = (id: number): boolean => nodes.get(id)?.callFrame.functionName === "(idle)";
  const durationUs = profile.endTime - profile.startTime;
  const intervalUs = samples.length === 0 ? 0 : durationUs / samples.length;
  return {
    types: [
      ["samples", "count"],
      ["cpu", "nanoseconds"],
    ],
    samples: [...hits]
      .filter(([id]) => !isIdle(id))
      .map(
        ([id, { count, us }]): Sample => ({ stack: stackOf(id), values: [count, us * NS_PER_US] }),
      ),
    timeMs,
    durationMs: durationUs * MS_PER_US,
    period: ["cpu", "nanoseconds", intervalUs * NS_PER_US],
  };
}

/** Live objects, by the stack that made them, as sampled since the agent's start. */
export function heapProfileOf(
  profile: HeapProfiler.SamplingHeapProfile,
  options: { readonly timeMs: number; readonly intervalBytes: number },
): Profile {
  const samples: Sample[] = [];
  const visit = (node: HeapProfiler.SamplingHeapProfileNode, outer: readonly Frame[]): void => {
    const isRoot = node.callFrame.functionName === "(root)";
    const stack = isRoot ? outer : [frameOf(node.callFrame), ...outer].slice(0, DEPTH_MAX);
    if (node.selfSize > 0) {
      const objects = Math.max(1, Math.round(node.selfSize / options.intervalBytes));
      samples.push({ stack, values: [objects, node.selfSize] });
    }
    for (const child of node.children) visit(child, stack);
  };
  visit(profile.head, []);
  return {
    types: [
      ["inuse_objects", "count"],
      ["inuse_space", "bytes"],
    ],
    samples,
    timeMs: options.timeMs,
    durationMs: 0,
    period: ["space", "bytes", options.intervalBytes],
  };
}
