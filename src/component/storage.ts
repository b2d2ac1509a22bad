// SPDX-License-Identifier: Apache-2.0
import type { Extension } from "./component.ts";

/** An extension that keeps data of other components over a restart. */
export interface StorageExtension extends Extension {
  /** Opens what this owner has, or begins it. Rejects with `AgentError` when it cannot be used. */
  openJournal(owner: JournalOwner): Promise<Journal>;
}

/** Whose data it is; the same owner finds its data again. */
export interface JournalOwner {
  readonly kind: "receiver" | "processor" | "exporter" | "connector" | "extension";
  /** As in the configuration: `otlp/backup`. */
  readonly id: string;
  /** Tells several journals of one component apart, such as a signal. */
  readonly name: string;
}

/** Something that was appended and not removed. */
export interface JournalEntry {
  /** Grows from entry to entry, over restarts too. */
  readonly sequence: number;
  readonly bytes: number;
  /** What the owner gave with it, u32. */
  readonly tag: number;
}

/**
 * Entries in the order in which they were appended, each there until it is removed. A process that
 * is killed at any point loses none of which `append` has returned; a removal may be forgotten.
 */
export interface Journal {
  /** What is there now, oldest first. */
  entries(): readonly JournalEntry[];
  /** Throws when the disk refuses; nothing is kept then. */
  append(chunks: readonly Uint8Array[], tag: number): JournalEntry;
  /** Undefined when it can no longer be read as it was written. */
  read(entry: JournalEntry): Uint8Array | undefined;
  /** Never throws: an entry whose removal could not be written comes again after a restart. */
  remove(entry: JournalEntry): void;
  /** Resolves when all that was appended would survive a loss of power, if that was asked for. */
  synced(): Promise<void>;
  close(): void;
}

export function isStorage(extension: Extension | undefined): extension is StorageExtension {
  return extension !== undefined && "openJournal" in extension;
}
