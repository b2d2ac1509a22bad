// SPDX-License-Identifier: Apache-2.0
// `npm start`: a chain of services that know nothing of tracing, a little traffic, and the agent
// with config.example.yaml. Further arguments go to the agent: npm start -- --set KEY=VALUE
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { endingWithUs } from "../test/support/process.ts";
import { type DemoChain, startChain } from "./chain.ts";
import { type DemoPage, preparePage } from "./page.ts";
import { startTraffic } from "./traffic.ts";

const ROOT = join(import.meta.dirname, "..");
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
/** npm passes on a Ctrl-C that the terminal has sent us already. */
const SAME_SIGNAL_MS = 500;

function say(line = ""): void {
  process.stdout.write(`${line}\n`);
}

function introduce(chain: DemoChain, page: DemoPage | undefined): void {
  const [first] = chain.services;
  const path = chain.services.map(({ name, runtime }) => (runtime ? `${name} (${runtime})` : name));
  say(`Demo: ${path.join(" → ")}; none of them knows of tracing.`);
  for (const line of chain.leftOut) say(`  ${line}`);
  for (const { name, pid, port } of chain.services) say(`  ${name}: pid ${pid}, port ${port}`);
  say(
    "Each trace is printed as a tree when it is complete: who called whom, and how long it took.",
  );
  say(
    `Two requests a second come by themselves; yours: curl http://127.0.0.1:${first?.port}/order/7`,
  );
  if (page === undefined) {
    say("The page is not built, so there is none to look at: npm run setup builds it.");
  } else say(`Services, their map and every trace, in a browser: ${page.url}`);
  say("Ctrl-C ends it.");
  say();
}

function sayWhatNext(): void {
  say();
  say("The demo has ended; its processes and files are gone.");
  say();
  say(
    "The same traces in a Jaeger, or any backend that takes OTLP over gRPC (HOST is its address):",
  );
  say("  npm start -- --set exporters::otlp_grpc::endpoint=HOST:4317 \\");
  say("    --set exporters::otlp_grpc::tls::insecure=true \\");
  say("    --set service::pipelines::traces::exporters=[otlp_grpc]");
  say();
  say("Your own services: name them in a copy of config.example.yaml,");
  say("  extensions:");
  say("    discovery:");
  say("      targets:");
  say("        - ports: 8080              # whatever listens there");
  say("        - exe: /usr/sbin/nginx     # and what is started from there");
  say("then: bin/backstitch --config my.yaml");
}

/** In a session of its own, so that a Ctrl-C reaches it once, from us, when we are ready for it. */
function startAgent(ports: string, page: DemoPage | undefined): ChildProcess {
  const agent = join(ROOT, "bin", "backstitch");
  const config = join(ROOT, "config.example.yaml");
  const more = [...(page?.args ?? []), ...process.argv.slice(2)];
  const command = [agent, "--config", config, ...more];
  const [program = agent, ...args] = endingWithUs(command);
  return spawn(program, args, {
    stdio: "inherit",
    detached: true,
    env: { ...process.env, BACKSTITCH_PORTS: ports },
  });
}

/** The exit status of the agent, 1 when it could not be started or was killed. */
function agentEnd(agent: ChildProcess): Promise<number> {
  return new Promise((resolve) => {
    agent.once("error", (error) => {
      process.stderr.write(`demo: cannot start the agent: ${error.message}\n`);
      resolve(1);
    });
    agent.once("exit", (code) => resolve(code ?? 1));
  });
}

function sayWhenOneDies(chain: DemoChain, isStopping: () => boolean): void {
  for (const { name, pid, ended } of chain.services) {
    void ended.then(({ code, signal }) => {
      if (isStopping()) return;
      const how = signal ?? `status ${code}`;
      say(
        `demo: ${name} (pid ${pid}) ended with ${how}. The rest goes on; restart for the whole chain.`,
      );
    });
  }
}

async function main(): Promise<void> {
  const stopping = { sinceMs: 0 };
  const isStopping = (): boolean => stopping.sinceMs !== 0;
  const running: { agent?: ChildProcess } = {};
  const onSignal = (): void => {
    const nowMs = performance.now();
    if (isStopping() && nowMs - stopping.sinceMs < SAME_SIGNAL_MS) return;
    stopping.sinceMs = nowMs;
    // The agent drains and ends; at a second signal it ends at once.
    running.agent?.kill("SIGTERM");
  };
  for (const signal of SIGNALS) process.on(signal, onSignal);

  const chain = await startChain(say);
  let page: DemoPage | undefined;
  try {
    if (isStopping()) return;
    page = await preparePage();
    introduce(chain, page);
    sayWhenOneDies(chain, isStopping);
    running.agent = startAgent(chain.ports, page);
    const traffic = startTraffic(chain.services[0]?.port ?? 0);
    process.exitCode = await agentEnd(running.agent);
    traffic.stop();
  } finally {
    stopping.sinceMs ||= performance.now();
    page?.remove();
    await chain.stop();
  }
  if (process.exitCode === 0) sayWhatNext();
}

// A reader of our output that has gone, as in `npm start | head`, is a reason to end, not to crash.
process.stdout.on("error", () => process.kill(process.pid, "SIGTERM"));
try {
  await main();
} catch (error) {
  process.stderr.write(`demo: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
