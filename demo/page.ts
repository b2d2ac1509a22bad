// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts, isPortFree } from "../test/support/proc-net.ts";

const PAGE = join(import.meta.dirname, "..", "extensions", "ui", "page", "dist", "index.html");
const PORT = 16_680;
const STORE_MIB = 64;

/** The demo's traces, kept while it runs and shown by the agent itself. */
export interface DemoPage {
  readonly url: string;
  /** What the agent is told besides its configuration. */
  readonly args: readonly string[];
  remove(): void;
}

/** Undefined when the page is not built. */
export async function preparePage(): Promise<DemoPage | undefined> {
  if (!existsSync(PAGE)) return undefined;
  const port = (await isPortFree(PORT)) ? PORT : ((await freePorts(1))[0] ?? PORT);
  const directory = mkdtempSync(join(tmpdir(), "backstitch-demo-store-"));
  const remove = (): void => rmSync(directory, { recursive: true, force: true });
  process.once("exit", remove);
  const settings = [
    `exporters::store::directory=${directory}`,
    `exporters::store::max_size_mib=${STORE_MIB}`,
    `extensions::ui::directory=${directory}`,
    `extensions::ui::endpoint=localhost:${port}`,
    "service::extensions=[discovery, ui]",
    "service::pipelines::traces::exporters=[debug, store]",
  ];
  const args = settings.flatMap((setting) => ["--set", setting]);
  return { url: `http://localhost:${port}`, args, remove };
}
