// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { duration } from "../../src/config/types.ts";
import { PROTOCOLS } from "../../src/protocols/registry.ts";
import { compileGlob } from "./glob.ts";
import { type PortRange, parsePorts } from "./ports.ts";

/** What a process must have: every criterion that is given. */
export interface Criteria {
  readonly pids?: readonly number[] | undefined;
  readonly exe?: string | undefined;
  readonly command?: string | undefined;
  readonly ports?: readonly PortRange[] | undefined;
  readonly cgroup?: string | undefined;
  readonly container?: string | undefined;
}

export interface Target extends Criteria {
  readonly name?: string | undefined;
  /** What these processes serve: a protocol's name, or `none`. */
  readonly protocol?: string | undefined;
  /** Protocols that are not followed in these processes. */
  readonly disabled_protocols?: readonly string[] | undefined;
}

export interface DiscoveryConfig {
  readonly targets: readonly Target[];
  readonly exclude: readonly Criteria[];
  /** Milliseconds. */
  readonly poll_interval: number;
}

function glob(): z.ZodString {
  return z
    .string()
    .min(1, { error: 'must not be empty; "*" matches everything' })
    .superRefine((text, context) => {
      try {
        compileGlob(text);
      } catch (cause) {
        context.addIssue({ code: "custom", message: messageOf(cause) });
      }
    });
}

const command = z
  .string()
  .min(1, { error: 'must not be empty; "." matches every command line' })
  .superRefine((text, context) => {
    try {
      new RegExp(text);
    } catch (cause) {
      context.addIssue({ code: "custom", message: messageOf(cause) });
    }
  });

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

const portOrRange = z.union([z.int(), z.string()], {
  error: "expected a port such as 8080, a range such as 9000-9010, or a list of them",
});

const ports = z
  .union([portOrRange, z.array(portOrRange).min(1)], {
    error: "expected a port such as 8080, a range such as 9000-9010, or a list of them",
  })
  .transform((input, context): readonly PortRange[] => {
    const parsed = parsePorts(Array.isArray(input) ? input.join(",") : String(input));
    if (typeof parsed !== "string") return parsed;
    context.addIssue({ code: "custom", message: parsed });
    return z.NEVER;
  });

const pid = z.int({ error: "expected a process id" }).min(1).max(4_194_304);

const pids = z
  .union([pid, z.array(pid).min(1)], { error: "expected a process id or a list of them" })
  .transform((input) => (Array.isArray(input) ? input : [input]));

const criteria = {
  pids: pids.optional().describe("Process ids, as the agent sees them in `/proc`."),
  exe: glob()
    .optional()
    .describe("Glob on the executable's path; without a `/`, on its file name."),
  command: command
    .optional()
    .describe("Regular expression found in the command line, its arguments joined by blanks."),
  ports: ports
    .optional()
    .describe("TCP ports that the process listens on: `8080`, `9000-9010`, or a list."),
  cgroup: glob()
    .optional()
    .describe("Glob on the cgroup's path; without a `/`, on any one segment of it."),
  container: glob().optional().describe("Glob on the container's id (also its first 12) or name."),
};

const CRITERIA_NAMES = Object.keys(criteria);

function hasCriterion(value: Criteria): boolean {
  const { pids: ids, exe, command: line, ports: listening, cgroup, container } = value;
  return [ids, exe, line, listening, cgroup, container].some((given) => given !== undefined);
}

const NO_CRITERION = {
  error: `needs at least one of ${CRITERIA_NAMES.join(", ")}, or it would select every process`,
};

const NONE = "none";
const NAMES = PROTOCOLS.map(({ name }) => name);

function protocolName(others: readonly string[]): z.ZodString {
  const known = [...NAMES, ...others];
  return z.string().refine((name) => known.includes(name), {
    error: ({ input }) =>
      `there is no protocol ${JSON.stringify(input)}. Known: ${known.toSorted().join(", ")}.`,
  });
}

const target = z
  .strictObject({
    ...criteria,
    name: z
      .string()
      .min(1)
      .optional()
      .describe("`service.name` of these processes and their descendants."),
    protocol: protocolName([NONE])
      .optional()
      .describe("What is spoken on connections that they accept, or `none` to ignore these."),
    disabled_protocols: z
      .array(protocolName([]))
      .optional()
      .describe("Protocols that are not followed in these processes, such as `[redis]`."),
  })
  .refine(hasCriterion, NO_CRITERION);

const exclusion = z.strictObject(criteria).refine(hasCriterion, NO_CRITERION);

export const configSchema: z.ZodType<DiscoveryConfig, unknown> = z.strictObject({
  targets: z
    .array(target)
    .default([])
    .describe("What to observe: processes that match one of these, and their descendants."),
  exclude: z
    .array(exclusion)
    .default([])
    .describe("What not to observe, even where a target or an ancestor would select it."),
  poll_interval: duration({ minMs: 100 })
    .default(10_000)
    .describe("How often all processes are looked at again, should an event have been missed."),
});
