// SPDX-License-Identifier: Apache-2.0
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { AgentError } from "../component/errors.ts";

const FILE = "writer.pid";
/** Field 22 of /proc/PID/stat, counted behind the command's name. */
const START_TIME_FIELD = 19;

/** One writer a directory: gives what unlocks it, or throws an `AgentError` that names the other. */
export function lockDirectory(directory: string): () => void {
  const path = join(directory, FILE);
  const other = readText(path);
  const [pid = ""] = other.split(" ");
  if (/^\d+$/.test(pid) && other === identity(pid)) {
    throw new AgentError(
      "BS_START",
      `store ${directory}: process ${pid} writes there. Stop it, or choose another directory`,
    );
  }
  writeFileSync(path, identity(String(process.pid)), { mode: 0o600 });
  return () => rmSync(path, { force: true });
}

/** A pid is used again; with its start time it is one process. */
function identity(pid: string): string {
  const stat = readText(`/proc/${pid}/stat`);
  if (stat === "") return "";
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return `${pid} ${fields[START_TIME_FIELD] ?? ""}`;
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
