// SPDX-License-Identifier: Apache-2.0
// Real services in each runtime, and for each link whether it is true. The id of a request is in
// its path, which only the judge reads.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { describeMachine } from "./support/machine.ts";
import { type CellResult, runCell } from "./truth/cell.ts";
import { RUNTIMES } from "./truth/runtimes.ts";

const RESULTS = new URL("results/", import.meta.url);
const CONCURRENCIES = [1, 8, 64];
/** As many as it takes, and fewer than the calls at once. */
const CONNECTIONS = [0, 8];

const { values: options } = parseArgs({
  options: {
    runtime: { type: "string", multiple: true },
    requests: { type: "string", default: "1000" },
    "no-inference": { type: "boolean", default: false },
    out: { type: "string", default: "truth" },
  },
});

function percent(part: number, whole: number): string {
  return whole === 0 ? "–" : `${(Math.floor((part / whole) * 10_000) / 100).toFixed(2)} %`;
}

function row(cell: CellResult): string {
  const { links, traces, requests } = cell;
  const evidence = Object.entries(cell.evidence)
    .map(([name, { right, wrong }]) => `${name} ${right}${wrong > 0 ? ` (${wrong} wrong)` : ""}`)
    .join(", ");
  const pool = cell.connections === 0 ? "unlimited" : String(cell.connections);
  const columns = [
    ...[cell.runtime, cell.concurrency, pool, percent(traces.right, requests)],
    ...[links.right, links.wrong, links.unlinked, cell.missingSpans, evidence],
  ];
  return `| ${columns.join(" | ")} |`;
}

/** How a wrong link of that evidence comes about. */
const EXPLANATIONS = new Map([
  [
    "event_loop",
    "the connection was given to a request that waited for it, and the pool had not been found " +
      "full often enough to be known as limited (receivers/ebpf_l7/connection-pool.ts)",
  ],
  ["async_id", "the turn in which the request was made was another one's"],
  ["inference", "by its times another request was the likelier cause"],
  ["same_thread", "the thread was handed other work after it had slept"],
]);

const HEAD = [
  "| runtime | concurrency | connections | whole traces right | links right | wrong | unknown | spans missing | links inside processes by evidence |",
  "|---|---|---|---|---|---|---|---|---|",
];

function report(cells: readonly CellResult[]): string {
  const machine = describeMachine();
  const wrong = cells.flatMap((cell) =>
    cell.wrong.map(
      (text) => `- ${cell.runtime}, ${cell.concurrency} at once, ${cell.connections}: ${text}`,
    ),
  );
  return [
    "# Truth bench",
    "",
    `\`npm run bench:truth\` on ${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, ${machine.date}.`,
    "nginx → front → middle → leaf, second, then left and right, then Redis where it says so;",
    "front and middle in the runtime of the row. Connections: to each server, at most.",
    "",
    ...RUNTIMES.map(({ name, text }) => `- ${name}: ${text}`),
    "",
    ...HEAD,
    ...cells.map(row),
    "",
    "## Wrong links",
    "",
    ...(wrong.length === 0 ? ["None."] : ["The first five of each row.", "", ...wrong, ""]),
    ...[...EXPLANATIONS]
      .filter(([name]) => wrong.some((text) => text.includes(`(${name},`)))
      .map(([name, text]) => `${name}: ${text}.`),
    "",
  ].join("\n");
}

/** Rows of runtimes that this run leaves out stay as they were measured before. */
function others(path: URL): readonly CellResult[] {
  if (options.runtime === undefined || !existsSync(path)) return [];
  const { cells }: { readonly cells: readonly CellResult[] } = JSON.parse(
    readFileSync(path, "utf8"),
  );
  return cells.filter(({ runtime }) => options.runtime?.includes(runtime) !== true);
}

const cells: CellResult[] = [];
const chosen = RUNTIMES.filter(({ name }) => options.runtime?.includes(name) ?? true);
console.log(HEAD.join("\n"));
for (const runtime of chosen) {
  for (const concurrency of CONCURRENCIES) {
    for (const connections of CONNECTIONS) {
      const requests =
        concurrency === 1 ? Math.ceil(Number(options.requests) / 4) : Number(options.requests);
      const inference = !options["no-inference"];
      const cell = await runCell({ runtime, concurrency, connections, requests, inference });
      cells.push(cell);
      console.log(row(cell));
    }
  }
}
mkdirSync(RESULTS, { recursive: true });
const path = new URL(`${options.out}.json`, RESULTS);
const order = RUNTIMES.map(({ name }) => name);
const all = [...others(path), ...cells].toSorted(
  (one, other) => order.indexOf(one.runtime) - order.indexOf(other.runtime),
);
writeFileSync(path, `${JSON.stringify({ machine: describeMachine(), cells: all }, null, 2)}\n`);
writeFileSync(new URL(`${options.out}.md`, RESULTS), report(all));
