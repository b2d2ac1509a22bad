// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Settings } from "../../src/component/component.ts";
import { AgentError, messageOf } from "../../src/component/errors.ts";
import type { Journal, JournalOwner, StorageExtension } from "../../src/component/storage.ts";
import type { Counter } from "../../src/component/telemetry.ts";
import { ThrottledLog } from "../../src/pipeline/throttled-log.ts";
import type { FileStorageConfig } from "./config.ts";
import { FileJournal } from "./journal.ts";

/** Keeps other components' data in files below one directory, one folder an owner. */
export class FileStorage implements StorageExtension {
  readonly #config: FileStorageConfig;
  readonly #log: ThrottledLog;
  readonly #open: Journal[] = [];
  readonly #cut: Counter;
  readonly #failures: Counter;
  #isLocked = false;

  constructor(settings: Settings, config: FileStorageConfig) {
    this.#config = config;
    this.#log = new ThrottledLog(settings.telemetry.logger);
    const labels = { extension: settings.id };
    const counter = (name: string, description: string, unit: string): Counter =>
      settings.telemetry.counter(`backstitch_file_storage_${name}`, { description, unit }, labels);
    this.#cut = counter("cut_bytes", "Bytes that were no whole record, at start.", "By");
    this.#failures = counter("failed_removals", "Removals that were not written.", "{removal}");
  }

  async start(): Promise<void> {
    const { directory, create_directory, directory_permissions: mode } = this.#config;
    try {
      if (create_directory) mkdirSync(directory, { recursive: true, mode });
      if (!existsSync(directory)) throw new Error("it does not exist; set create_directory: true");
      this.#lock();
    } catch (error) {
      if (error instanceof AgentError) throw error;
      throw this.#failure(directory, error);
    }
  }

  async shutdown(): Promise<void> {
    for (const journal of this.#open.splice(0)) journal.close();
    if (this.#isLocked) rmSync(this.#lockPath, { force: true });
    this.#isLocked = false;
  }

  async openJournal(owner: JournalOwner): Promise<Journal> {
    const { directory, recreate } = this.#config;
    const folder = join(directory, folderName(owner));
    try {
      return this.#journal(folder);
    } catch (error) {
      if (!recreate) throw this.#failure(folder, error);
      const aside = `${folder}.backup`;
      this.#log.write("error", "A journal cannot be opened; it is set aside", {
        path: aside,
        error: messageOf(error),
      });
      rmSync(aside, { recursive: true, force: true });
      renameSync(folder, aside);
      return this.#journal(folder);
    }
  }

  #journal(folder: string): Journal {
    const journal = new FileJournal({
      folder,
      folderMode: this.#config.directory_permissions,
      fsync: this.#config.fsync,
      onCut: (path, bytes) => {
        this.#cut.add(bytes);
        this.#log.write("warn", "The end of a journal was torn and is cut off", { path, bytes });
      },
      onFailure: (error) => {
        this.#failures.add(1);
        this.#log.write("error", "A removal was not written; data may be sent twice", {
          error: messageOf(error),
        });
      },
    });
    this.#open.push(journal);
    return journal;
  }

  get #lockPath(): string {
    return join(this.#config.directory, "lock");
  }

  /** Two agents in one directory would send each other's data. A lock of a dead process is taken. */
  #lock(): void {
    const holder = readIfThere(this.#lockPath);
    const pid = Number(holder);
    if (holder !== undefined && pid !== process.pid && isAgentAlive(pid)) {
      throw new AgentError(
        "BS_START",
        `file_storage: directory "${this.#config.directory}" is used by process ${pid}. ` +
          "Give each agent a directory of its own.",
      );
    }
    writeFileSync(this.#lockPath, String(process.pid), { mode: 0o600 });
    this.#isLocked = true;
  }

  #failure(path: string, error: unknown): AgentError {
    return new AgentError(
      "BS_START",
      `file_storage: cannot use "${path}": ${messageOf(error)}. ` +
        "Set directory to a place that this user may write to.",
      { cause: error },
    );
  }
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

/** Pids are used again: only one that runs JavaScript can be an agent. */
function isAgentAlive(pid: number): boolean {
  return readIfThere(`/proc/${pid}/cmdline`)?.includes("main.ts") ?? false;
}

/** Readable, and different for different owners. */
function folderName({ kind, id, name }: JournalOwner): string {
  const safe = (text: string): string =>
    text.replaceAll(/[^A-Za-z0-9.-]/g, (character) =>
      [...Buffer.from(character)].map((byte) => `~${byte.toString(16).padStart(2, "0")}`).join(""),
    );
  return [kind, safe(id), safe(name)].join("_");
}
