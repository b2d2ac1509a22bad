// SPDX-License-Identifier: Apache-2.0
import type { AgentView, MetricSample } from "../component/agent-view.ts";
import type { Extension, Host } from "../component/component.ts";
import { messageOf } from "../component/errors.ts";
import type { AgentConfig } from "../config/agent-config.ts";
import { buildExtension } from "./build.ts";
import { islandsOf } from "./islands.ts";
import { startOne, stopAll } from "./lifecycle.ts";
import { Topology, type TopologyInputs } from "./topology.ts";

/** What is started and stopped on its own: an extension, or an island of pipelines. */
interface Unit {
  /** Two units with the same key are configured alike. */
  readonly key: string;
  /** Ids of the extensions that it asked for, found or not. */
  readonly uses: Set<string>;
}

interface ExtensionUnit extends Unit {
  readonly id: string;
  readonly kind: "extension";
  readonly component: Extension;
}

interface IslandUnit extends Unit {
  readonly topology: Topology;
}

interface Parts {
  readonly config: AgentConfig;
  /** In the order of the configuration. */
  readonly extensions: readonly ExtensionUnit[];
  readonly islands: readonly IslandUnit[];
}

/**
 * `changed`: the new configuration runs. `restored`: it could not start, the one before runs again.
 * `broken`: that could not start either.
 */
export type Change = "changed" | "restored" | "broken";

export interface ServiceInputs extends TopologyInputs {
  /** The agent's own metrics now. */
  readonly ownMetrics?: () => Promise<readonly MetricSample[]>;
}

/** All that a configuration asks for: extensions and pipelines, started, changed and stopped. */
export class Service {
  readonly #inputs: ServiceInputs;
  #parts: Parts;
  /** By id. */
  readonly #started = new Map<string, Extension>();
  readonly #finished = new Set<IslandUnit>();
  #shutdown: Promise<void> | undefined;

  /** Creates every component; nothing is opened or started. Throws `AgentError`. */
  constructor(inputs: ServiceInputs) {
    this.#inputs = inputs;
    this.#parts = this.#build(inputs.config, undefined);
  }

  /** Rejects with the first component that cannot start; the caller then calls `shutdown`. */
  async start(): Promise<void> {
    await this.#start(this.#parts);
  }

  /** As `Topology.shutdown`; then extensions stop. */
  shutdown(signal: AbortSignal): Promise<void> {
    this.#shutdown ??= this.#stop(this.#parts, signal);
    return this.#shutdown;
  }

  /**
   * Runs another configuration. What both have alike goes on untouched: extensions, and pipelines
   * whose components, and the extensions that these use, are configured as before. The rest is
   * built, then what is gone drains until `signal` aborts, then what is new starts. Rejects when
   * the new configuration cannot be built; nothing has changed then.
   */
  async change(config: AgentConfig, signal: AbortSignal): Promise<Change> {
    const before = this.#parts;
    const next = this.#build(config, before);
    const gone = without(before, next);
    await this.#stop(gone, signal);
    if (await this.#tryStart(without(next, before))) {
      this.#parts = next;
      return "changed";
    }
    await this.#stop(without(next, before), AbortSignal.abort());
    this.#parts = without(before, gone);
    const restored = this.#build(before.config, this.#parts);
    if (!(await this.#tryStart(without(restored, this.#parts)))) return "broken";
    this.#parts = restored;
    return "restored";
  }

  #build(config: AgentConfig, running: Parts | undefined): Parts {
    const wanted = config.service.extensions.map((id) => ({ id, key: extensionKey(config, id) }));
    const kept = keptExtensions(wanted, running?.extensions ?? []);
    const isKept = ({ uses }: Unit): boolean =>
      [...uses].every(
        (id) => kept.has(id) || !(this.#started.has(id) || wanted.some((one) => one.id === id)),
      );
    const extensions = wanted.map(
      ({ id, key }): ExtensionUnit =>
        kept.get(id) ?? {
          id,
          key,
          kind: "extension",
          uses: new Set(),
          component: buildExtension(this.#inputs, config, id),
        },
    );
    const islands = islandsOf(config).map((island): IslandUnit => {
      const same = running?.islands.find((unit) => unit.key === island.key && isKept(unit));
      return same ?? this.#island(island.config, island.key);
    });
    return { config, extensions, islands };
  }

  #island(config: AgentConfig, key: string): IslandUnit {
    const unit: IslandUnit = {
      key,
      uses: new Set(),
      topology: new Topology({
        ...this.#inputs,
        config,
        onFinished: () => {
          this.#finished.add(unit);
          const isAll = this.#parts.islands.every((island) => this.#finished.has(island));
          if (isAll) this.#inputs.onFinished?.();
        },
      }),
    };
    return unit;
  }

  async #start({ extensions, islands }: Parts): Promise<void> {
    const { logger } = this.#inputs;
    if (extensions.length > 0) logger.info("Starting extensions...");
    for (const unit of extensions) {
      const fields = { "otelcol.component.id": unit.id, "otelcol.component.kind": "extension" };
      logger.info("Extension is starting...", fields);
      await startOne(unit, this.#host(unit), "cannot start extensions");
      this.#started.set(unit.id, unit.component);
      logger.info("Extension started.", fields);
    }
    for (const unit of islands) await unit.topology.start(this.#host(unit));
    for (const { component } of extensions) component.pipelinesReady?.();
  }

  async #tryStart(parts: Parts): Promise<boolean> {
    try {
      await this.#start(parts);
      return true;
    } catch (error) {
      this.#inputs.logger.error("Failed to start", { error: messageOf(error) });
      return false;
    }
  }

  async #stop({ extensions, islands }: Parts, signal: AbortSignal): Promise<void> {
    const { logger } = this.#inputs;
    for (const { component } of extensions) component.pipelinesStopping?.();
    await Promise.all(islands.map(({ topology }) => topology.shutdown(signal)));
    for (const island of islands) this.#finished.delete(island);
    if (extensions.length > 0) logger.info("Stopping extensions...");
    for (const unit of extensions.toReversed()) {
      await stopAll([unit], signal, logger);
      this.#started.delete(unit.id);
    }
  }

  #host({ uses }: Unit): Host {
    return {
      extension: (id) => {
        uses.add(id);
        return this.#started.get(id);
      },
      fatal: (id, error) => this.#inputs.onBroken(id, error),
      agent: this.#view(),
    };
  }

  /** Follows changes of the configuration. */
  #view(): AgentView {
    const config = (): AgentConfig => this.#parts.config;
    return {
      get pipelines() {
        return config().service.pipelines;
      },
      get extensions() {
        return config().service.extensions;
      },
      extensionType: (id) => config().extensions.get(id)?.factory.type,
      refusedProbes: () => {
        const { extensions, islands } = this.#parts;
        const components = islands.flatMap(({ topology }) => topology.components);
        return [...extensions.map(({ component }) => component), ...components].flatMap(
          (component) => component.refusedProbes?.() ?? [],
        );
      },
      metrics: async () => (await this.#inputs.ownMetrics?.()) ?? [],
    };
  }
}

function extensionKey(config: AgentConfig, id: string): string {
  const { factory, input } = config.extensions.get(id) ?? {};
  return JSON.stringify([factory?.type, input]);
}

/** Those that run, are configured alike, and use only such, by id. */
function keptExtensions(
  wanted: readonly { readonly id: string; readonly key: string }[],
  running: readonly ExtensionUnit[],
): ReadonlyMap<string, ExtensionUnit> {
  const kept = new Map<string, ExtensionUnit>();
  for (const unit of running) {
    if (wanted.some(({ id, key }) => id === unit.id && key === unit.key)) kept.set(unit.id, unit);
  }
  const known = new Set([...running, ...wanted].map(({ id }) => id));
  for (let before = -1; before !== kept.size; ) {
    before = kept.size;
    for (const { id, uses } of kept.values()) {
      if ([...uses].some((used) => known.has(used) && !kept.has(used))) kept.delete(id);
    }
  }
  return kept;
}

function without(parts: Parts, others: Parts): Parts {
  return {
    config: parts.config,
    extensions: parts.extensions.filter((unit) => !others.extensions.includes(unit)),
    islands: parts.islands.filter((unit) => !others.islands.includes(unit)),
  };
}
