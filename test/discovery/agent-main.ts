// SPDX-License-Identifier: Apache-2.0
// An agent as a process of its own; its own and its parent's command lines hold the tag.
import { startDiscovery } from "./support.ts";

const tag = process.argv[2] ?? "";
await using started = await startDiscovery({ targets: [{ command: tag }] });
const pids = new Set(started.allMarks().map((mark) => mark.tgid));
process.stdout.write(
  `${JSON.stringify([
    ["parent", process.ppid],
    ["marked", [...pids]],
    ["selected", Array.from(started.discovery.selected(), (one) => one.pid)],
  ])}\n`,
);
