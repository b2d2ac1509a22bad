// SPDX-License-Identifier: Apache-2.0
import type { ProcessProtocols } from "../../src/model/process.ts";
import type { Criteria, Target } from "./config.ts";
import type { Container } from "./container.ts";
import { compileGlob } from "./glob.ts";
import { includesPort } from "./ports.ts";

/** What criteria look at. Implementations read lazily: what is not asked for is not read. */
export interface Matchable {
  readonly pid: number;
  /** The first process of the host or container, by the name of an init system. */
  readonly isInit: boolean;
  /** Path of the executable, empty when it cannot be read. */
  readonly exe: string;
  /** The arguments joined by blanks. */
  readonly command: string;
  /** One for cgroup v2; one a hierarchy for v1. */
  readonly cgroups: readonly string[];
  readonly container: Container | undefined;
  /** TCP ports it is known to listen on. */
  readonly ports: ReadonlySet<number>;
}

type Test = (process: Matchable) => boolean;

/** Which events the kernel side must report for these criteria to be judged at once. */
export interface MatchNeeds {
  readonly execs: boolean;
  readonly cgroups: boolean;
  readonly ports: boolean;
  readonly forks: boolean;
}

/** The configured selectors, compiled. Pure: the same facts give the same answer. */
export class Matcher {
  readonly #targets: readonly Test[];
  readonly #exclusions: readonly Test[];
  readonly #names: readonly (string | undefined)[];
  readonly #protocols: readonly (ProcessProtocols | undefined)[];
  readonly #criteria: readonly Criteria[];
  readonly needs: MatchNeeds;

  constructor(targets: readonly Target[], exclude: readonly Criteria[]) {
    this.#targets = targets.map(compileCriteria);
    this.#exclusions = exclude.map(compileCriteria);
    this.#names = targets.map((target) => target.name);
    this.#protocols = targets.map(({ protocol: served, disabled_protocols: disabled = [] }) =>
      served === undefined && disabled.length === 0 ? undefined : { served, disabled },
    );
    this.#criteria = [...targets, ...exclude];
    this.needs = {
      execs: targets.some(
        (target) =>
          target.exe !== undefined ||
          target.command !== undefined ||
          target.cgroup !== undefined ||
          target.container !== undefined,
      ),
      cgroups: this.#uses((one) => one.cgroup !== undefined || one.container !== undefined),
      ports: this.#uses((one) => one.ports !== undefined),
      // A child differs from its parent by its id alone: only an exclusion by id sets them apart.
      forks: exclude.some((one) => one.pids !== undefined),
    };
  }

  #uses(test: (one: Criteria) => boolean): boolean {
    return this.#criteria.some(test);
  }

  get hasExclusions(): boolean {
    return this.#exclusions.length > 0;
  }

  /** The number of the first target that matches, from 1; 0 for none. */
  targetOf(process: Matchable): number {
    return this.#targets.findIndex((test) => test(process)) + 1;
  }

  isExcluded(process: Matchable): boolean {
    return this.#exclusions.some((test) => test(process));
  }

  /** The `service.name` that a target gives, from its number. */
  nameOf(target: number): string | undefined {
    return this.#names[target - 1];
  }

  /** What a target says of protocols, from its number. */
  protocolsOf(target: number): ProcessProtocols | undefined {
    return this.#protocols[target - 1];
  }

  /** Whether some criterion asks about this port. */
  asksForPort(port: number): boolean {
    return this.#uses((one) => one.ports !== undefined && includesPort(one.ports, port));
  }
}

/** Cheap tests first: the rest of the facts is not read once one fails. */
function compileCriteria(criteria: Criteria): Test {
  const tests: Test[] = [];
  const { pids, ports, exe, cgroup, container, command } = criteria;
  if (pids !== undefined) {
    const set = new Set(pids);
    tests.push((process) => set.has(process.pid));
  } else {
    // A socket-activating init holds other programs' ports, and everything descends from it.
    tests.push((process) => !process.isInit);
  }
  if (ports !== undefined) {
    tests.push((process) => {
      for (const port of process.ports) if (includesPort(ports, port)) return true;
      return false;
    });
  }
  if (exe !== undefined) {
    const pattern = compileGlob(exe);
    const isWhole = exe.includes("/");
    tests.push(({ exe: path }) =>
      pattern.test(isWhole ? path : path.slice(path.lastIndexOf("/") + 1)),
    );
  }
  if (cgroup !== undefined) tests.push(cgroupTest(cgroup));
  if (container !== undefined) tests.push(containerTest(container));
  if (command !== undefined) {
    const pattern = new RegExp(command);
    tests.push((process) => pattern.test(process.command));
  }
  return (process) => tests.every((test) => test(process));
}

function cgroupTest(glob: string): Test {
  const pattern = compileGlob(glob);
  if (glob.includes("/")) return (process) => process.cgroups.some((path) => pattern.test(path));
  return (process) =>
    process.cgroups.some((path) =>
      path.split("/").some((segment) => segment !== "" && pattern.test(segment)),
    );
}

const SHORT_ID_LENGTH = 12;

function containerTest(glob: string): Test {
  const pattern = compileGlob(glob);
  const prefix = /^[0-9a-f]{12,64}$/.test(glob) ? glob : undefined;
  return ({ container }) => {
    if (container === undefined) return false;
    const { id, name } = container;
    if (name !== undefined && pattern.test(name)) return true;
    if (id === undefined) return false;
    if (prefix !== undefined && id.startsWith(prefix)) return true;
    return pattern.test(id) || pattern.test(id.slice(0, SHORT_ID_LENGTH));
  };
}
