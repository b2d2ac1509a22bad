// SPDX-License-Identifier: Apache-2.0
import { arch, hostname, platform } from "node:os";
import type { AgentView } from "../../src/component/agent-view.ts";
import type { Extension, Host, Settings } from "../../src/component/component.ts";
import { formatDuration } from "../../src/config/duration.ts";
import { type AdminAnswer, AdminServer, text } from "../../src/transport/admin-server.ts";
import type { ZPagesConfig } from "./config.ts";

const NS_PER_S = 1e9;

type Row = readonly (string | number)[];

/** Pages for people about the running agent, at the Collector's paths. */
export class ZPages implements Extension {
  readonly #settings: Settings;
  readonly #config: ZPagesConfig;
  readonly #server: AdminServer;
  #agent: AgentView | undefined;
  #isReady = false;

  constructor(settings: Settings, config: ZPagesConfig) {
    this.#settings = settings;
    this.#config = config;
    const answer = (url: URL): Promise<AdminAnswer> => this.#answer(url.pathname);
    this.#server = new AdminServer({ endpoint: config.endpoint, tls: config.tls, answer });
  }

  /** Where it listens, once started. */
  get port(): number {
    return this.#server.port;
  }

  async start({ agent }: Host): Promise<void> {
    this.#agent = agent;
    await this.#server.start();
    const { logger } = this.#settings.telemetry;
    logger.info("Starting zPages extension", { endpoint: this.#config.endpoint.text });
  }

  pipelinesReady(): void {
    this.#isReady = true;
  }

  pipelinesStopping(): void {
    this.#isReady = false;
  }

  shutdown(): Promise<void> {
    return this.#server.shutdown();
  }

  async #answer(path: string): Promise<AdminAnswer> {
    switch (path) {
      case "/debug/servicez":
        return this.#service();
      case "/debug/pipelinez":
        return this.#pipelines();
      case "/debug/extensionz":
        return this.#extensions();
      case "/debug/featurez":
        return page("Feature gates", [table(["Id", "Enabled", "Stage"], [])]);
      case "/debug/expvarz":
        return this.#config.expvar.enabled ? await this.#metrics() : notFound();
      default:
        return notFound();
    }
  }

  #service(): AdminAnswer {
    const { version } = this.#settings.buildInfo;
    const started = new Date(Date.now() - process.uptime() * 1_000).toISOString();
    const build = table(
      ["Build", ""],
      [
        ["Command", "backstitch"],
        ["Version", version],
        ["Runtime", `Node ${process.version}, ${platform()}/${arch()}`],
      ],
    );
    const runtime = table(
      ["Runtime", ""],
      [
        ["Host", hostname()],
        ["Process", process.pid],
        ["Start", started],
        ["Uptime", formatDuration(Math.round(process.uptime()) * NS_PER_S)],
        ["State", this.#isReady ? "running" : "starting or stopping"],
      ],
    );
    const links = ["pipelinez", "extensionz", "featurez"].map(
      (name) => `<li><a href="/debug/${name}">${name}</a></li>`,
    );
    return page("Service", [build, runtime, `<ul>${links.join("")}</ul>`]);
  }

  #pipelines(): AdminAnswer {
    const rows = (this.#agent?.pipelines ?? []).map(
      ({ id, signal, receivers, processors, exporters }): Row => [
        id,
        signal,
        receivers.join(", "),
        processors.join(", "),
        exporters.join(", "),
      ],
    );
    const head = ["Pipeline", "Signal", "Receivers", "Processors", "Exporters"];
    return page("Pipelines", [table(head, rows)]);
  }

  #extensions(): AdminAnswer {
    const agent = this.#agent;
    const rows = (agent?.extensions ?? []).map((id): Row => [id, agent?.extensionType(id) ?? ""]);
    return page("Extensions", [table(["Extension", "Type"], rows)]);
  }

  async #metrics(): Promise<AdminAnswer> {
    const samples = (await this.#agent?.metrics()) ?? [];
    const body = {
      cmdline: process.argv.slice(1, 2),
      memstats: process.memoryUsage(),
      metrics: samples.map(({ name, labels, value }) => ({ name, labels, value })),
    };
    return { status: 200, contentType: "application/json", body: JSON.stringify(body) };
  }
}

function notFound(): AdminAnswer {
  return text(404, "404 page not found. Try /debug/servicez\n");
}

function page(title: string, parts: readonly string[]): AdminAnswer {
  const style =
    "body{font:14px sans-serif;margin:2em}table{border-collapse:collapse;margin:0 0 2em}" +
    "th,td{text-align:left;padding:.3em 1em;border-bottom:1px solid #ddd}";
  const body =
    `<!doctype html><html lang="en"><meta charset="utf-8"><title>${title}</title>` +
    `<style>${style}</style><h1>${title}</h1>${parts.join("")}</html>\n`;
  return { status: 200, contentType: "text/html; charset=utf-8", body };
}

function table(head: readonly string[], rows: readonly Row[]): string {
  const cells = (row: Row, tag: string): string =>
    `<tr>${row.map((cell) => `<${tag}>${escapeHtml(String(cell))}</${tag}>`).join("")}</tr>`;
  return `<table>${cells(head, "th")}${rows.map((row) => cells(row, "td")).join("")}</table>`;
}

function escapeHtml(value: string): string {
  return value.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
