// SPDX-License-Identifier: Apache-2.0
import { hostname } from "node:os";
import type { BpfMap } from "libbpf-ts";
import { type Observable, Subject } from "rxjs";
import type { Extension, Host, Settings } from "../../src/component/component.ts";
import { AgentError } from "../../src/component/errors.ts";
import type { Counter } from "../../src/component/telemetry.ts";
import type {
  ProcessSelection,
  SelectedProcess,
  SelectionChange,
} from "../../src/model/process.ts";
import type { DiscoveryConfig } from "./config.ts";
import { RuntimeFiles } from "./container.ts";
import { BpfSelection } from "./kernel-side.ts";
import { Matcher } from "./matcher.ts";
import { ProcFs } from "./process-facts.ts";
import { Tracker } from "./tracker.ts";

/** What happened is heard of this late at most, if the agent is not busy. */
const DRAIN_INTERVAL_MS = 50;
/** Of one turn of the event loop. */
const WORK_PER_TURN_MS = 5;
/** Between rescans that lost events ask for. */
const RESCAN_INTERVAL_MIN_MS = 1000;

/** What lives from `start` to `shutdown`. */
interface Running {
  readonly kernel: BpfSelection;
  readonly tracker: Tracker;
  readonly drainTimer: NodeJS.Timeout;
  readonly removeGauges: readonly (() => void)[];
}

/** The extension: decides what is observed, in the kernel and for the receivers. */
export class Discovery implements Extension, ProcessSelection {
  readonly #settings: Settings;
  readonly #config: DiscoveryConfig;
  readonly #matcher: Matcher;
  readonly #procFs = new ProcFs("/proc", new RuntimeFiles(""));
  readonly #changes = new Subject<SelectionChange>();
  readonly #rescans: Counter;
  readonly #failures: Counter;
  #running: Running | undefined;
  #isDraining = false;
  #isRescanning = false;
  #rescanAtMs = 0;
  #lostSeen = 0;

  constructor(settings: Settings, config: DiscoveryConfig) {
    this.#settings = settings;
    this.#config = config;
    this.#matcher = new Matcher(config.targets, config.exclude);
    const { telemetry } = settings;
    this.#rescans = telemetry.counter("backstitch_discovery_rescans", {
      description: "Times that all processes were looked at.",
      unit: "{rescan}",
    });
    this.#failures = telemetry.counter("backstitch_discovery_failures", {
      description: "Rounds of work that an error ended; the next rescan makes up for them.",
      unit: "{failure}",
    });
  }

  get changes(): Observable<SelectionChange> {
    return this.#changes;
  }

  get selectionMapFd(): number {
    return this.selectionMap.fd;
  }

  /** The same map, for `libbpf-ts`; it belongs to this extension. */
  get selectionMap(): BpfMap {
    return this.#started().kernel.selectedTasks;
  }

  selected(): Iterable<SelectedProcess> {
    return this.#running?.tracker.selected() ?? [];
  }

  /** Takes up what the kernel has reported first, when the process is not known yet. */
  process(pid: number): SelectedProcess | undefined {
    const known = this.#running?.tracker.process(pid);
    if (known !== undefined || this.#running === undefined) return known;
    this.#drain(this.#running);
    return this.#running.tracker.process(pid);
  }

  async start(_host: Host): Promise<void> {
    const { logger } = this.#settings.telemetry;
    if (this.#config.targets.length === 0) {
      logger.warn("No targets are configured, so no process is observed. Add some to `targets`.");
    }
    const { needs, hasExclusions } = this.#matcher;
    const kernel = BpfSelection.load({
      selfPid: process.pid,
      confirmExecs: hasExclusions,
      reportExecs: needs.execs,
      reportForks: needs.forks,
      reportMoves: needs.cgroups,
      reportListens: needs.ports,
    });
    const tracker = new Tracker({
      matcher: this.#matcher,
      procFs: this.#procFs,
      kernel,
      selfPid: process.pid,
      hostName: hostname(),
      nowMs: () => performance.now(),
      onChange: (change) => this.#changes.next(change),
    });
    const drainTimer = setInterval(() => this.#tick(), DRAIN_INTERVAL_MS);
    const removeGauges = this.#publish(kernel, tracker);
    this.#running = { kernel, tracker, drainTimer, removeGauges };
    await this.#rescan(this.#running);
    logger.info("Discovery started.", { selected: tracker.selectedCount });
  }

  shutdown(_signal: AbortSignal): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    if (running !== undefined) {
      clearInterval(running.drainTimer);
      for (const remove of running.removeGauges) remove();
      running.kernel.close();
    }
    this.#changes.complete();
    return Promise.resolve();
  }

  #started(): Running {
    if (this.#running !== undefined) return this.#running;
    throw new AgentError(
      "BS_INTERNAL",
      `${this.#settings.id}: the selection was asked for before start or after shutdown.`,
    );
  }

  #tick(): void {
    const running = this.#running;
    if (running === undefined) return;
    this.#drain(running);
    const nowMs = performance.now();
    const isPollDue = nowMs - this.#rescanAtMs >= this.#config.poll_interval;
    const mayRescan = nowMs - this.#rescanAtMs >= RESCAN_INTERVAL_MIN_MS;
    const lost = running.kernel.lostCount();
    const isAsked = mayRescan && (lost !== this.#lostSeen || running.tracker.takeRescanDue());
    if ((isPollDue || isAsked) && !this.#isRescanning) {
      this.#lostSeen = lost;
      void this.#rescan(running);
    }
  }

  #drain(running: Running): void {
    if (this.#isDraining) return;
    this.#isDraining = true;
    try {
      const { kernel, tracker } = running;
      kernel.drain(tracker);
      tracker.judgeDirty(performance.now() + WORK_PER_TURN_MS);
      if (tracker.hasDecisions) tracker.applyToKernel(false);
      tracker.prune();
    } catch (cause) {
      this.#fail(running, cause);
    } finally {
      this.#isDraining = false;
    }
  }

  /** Never rejects. Ends early when the extension is shut down meanwhile. */
  async #rescan(running: Running): Promise<void> {
    this.#isRescanning = true;
    this.#rescanAtMs = performance.now();
    this.#rescans.add(1);
    try {
      const { tracker } = running;
      const pids = this.#procFs.pids();
      tracker.beginRescan(new Set(pids));
      tracker.refreshListeners();
      let turnEndMs = performance.now() + WORK_PER_TURN_MS;
      for (const pid of pids) {
        if (performance.now() >= turnEndMs) {
          await new Promise<void>((resolve) => setImmediate(resolve));
          if (this.#running !== running) return;
          turnEndMs = performance.now() + WORK_PER_TURN_MS;
        }
        tracker.judge(pid, { inherited: 0, isRefresh: false });
      }
      tracker.applyToKernel(true);
    } catch (cause) {
      this.#fail(running, cause);
    } finally {
      this.#isRescanning = false;
    }
  }

  #fail(running: Running, cause: unknown): void {
    this.#failures.add(1);
    if (this.#running !== running) return;
    const reason = cause instanceof Error ? cause.message : String(cause);
    this.#settings.telemetry.logger.error(
      "Discovery could not finish a round of work; it looks at all processes again soon.",
      { error: reason },
    );
    running.tracker.askForRescan();
  }

  #publish(kernel: BpfSelection, tracker: Tracker): readonly (() => void)[] {
    const { telemetry } = this.#settings;
    return [
      telemetry.gauge(
        "backstitch_discovery_selected_processes",
        { description: "Processes that are observed.", unit: "{process}" },
        () => tracker.selectedCount,
      ),
      telemetry.observedCounter(
        "backstitch_discovery_events_lost",
        {
          description: "Process events that did not fit into the ring; each asks for a rescan.",
          unit: "{event}",
        },
        () => kernel.lostCount(),
      ),
      telemetry.observedCounter(
        "backstitch_discovery_denied_reads",
        {
          description: "Files of processes that the agent was not permitted to read.",
          unit: "{read}",
        },
        () => this.#procFs.deniedCount,
      ),
    ];
  }
}
