// SPDX-License-Identifier: Apache-2.0
import type { BpfMap } from "libbpf-ts";
import type { Observable } from "rxjs";

/** A process that a selector selected. Valid until its `exit` change plus a grace period. */
export interface SelectedProcess {
  readonly pid: number;
  /** `service.name`, resolved in the documented order. */
  readonly serviceName: string;
  /** Resource attributes besides `service.name` (process.pid, container.id, …). */
  readonly attributes: ReadonlyMap<string, string | number>;
  /** What its target says of protocols. */
  readonly protocols?: ProcessProtocols | undefined;
}

/** Names of protocols, as `Protocol.name` has them. */
export interface ProcessProtocols {
  /** Of all connections that the process accepts; `none`: they are not looked at. */
  readonly served?: string | undefined;
  /** Never followed, on any connection. */
  readonly disabled: readonly string[];
}

/**
 * A process was selected, stopped being selected or ended. A second `selected` of one pid
 * replaces the first: the process has become another program.
 */
export interface SelectionChange {
  readonly kind: "selected" | "deselected";
  readonly process: SelectedProcess;
}

/**
 * What receivers ask of the extension `discovery`. The kernel's selection is the map
 * `selectionMapFd` (task storage; see bpf/include/selection.bpf.h): a program that reuses
 * it sees only the threads of selected processes.
 */
export interface ProcessSelection {
  readonly selectionMapFd: number;
  /** The same map as libbpf-ts knows it: `object.map("selected_tasks").reuse(selectionMap)`. */
  readonly selectionMap: BpfMap;
  /** Hot; replays nothing. Take `selected()` first. */
  readonly changes: Observable<SelectionChange>;
  selected(): Iterable<SelectedProcess>;
  /** Also answers for processes that ended a short while ago; undefined when never selected. */
  process(pid: number): SelectedProcess | undefined;
}
