// SPDX-License-Identifier: Apache-2.0
/** What the linter does not know: who may import whom, lengths, licence lines, words, component folders. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const LINES_MAX = 500;
const COLUMNS_MAX = 100;
const FUNCTION_LINES_MAX = 70;
const COMPONENT_KINDS = ["receivers", "processors", "connectors", "exporters", "extensions"];

/** Tracked files and new ones that are not ignored. */
const FILES = execFileSync("git", ["ls-files", "-co", "--exclude-standard"], {
  cwd: ROOT,
  encoding: "utf8",
})
  .split("\n")
  .filter((path) => path !== "" && existsSync(join(ROOT, path)));
const SOURCES = FILES.filter((path) => path.endsWith(".ts") && !path.includes("/generated/"));
const PRODUCT = SOURCES.filter((path) => !isTestFile(path));

function isTestFile(path: string): boolean {
  return (
    path.endsWith(".test.ts") ||
    /(^|\/)(test|testing|bench|goldens)\//.test(path) ||
    path.endsWith("/test-support.ts")
  );
}

const texts = new Map<string, string>();
function textOf(path: string): string {
  let text = texts.get(path);
  if (text === undefined) {
    text = readFileSync(join(ROOT, path), "utf8");
    texts.set(path, text);
  }
  return text;
}

/** Folders of `src/` and what each may import besides itself. */
const ARROWS: Readonly<Record<string, readonly string[]>> = {
  model: [],
  component: ["model"],
  protocols: ["model"],
  pdata: ["model"],
  spans: ["model", "protocols", "pdata"],
  inference: ["model"],
  attributes: ["model", "component", "config", "pdata"],
  store: ["model", "component", "pdata"],
  conntrack: ["component", "pipeline"],
  ottl: ["model", "component", "config", "pdata", "attributes"],
  config: ["model", "component"],
  kubernetes: ["model", "component", "pdata", "conntrack"],
  prometheus: ["pdata"],
  series: ["pdata"],
  stitching: ["model", "pdata", "attributes"],
  telemetry: ["model", "component", "config", "pdata", "prometheus", "transport"],
  pipeline: ["model", "component", "config", "pdata"],
  transport: ["model", "component", "config", "pdata", "pipeline"],
  zipkin: ["pdata"],
  kit: ["model", "component", "config", "pdata", "pipeline"],
  cli: ["model", "component", "config", "pipeline", "telemetry", "kit"],
};

/** `src/config` for a file of the engine, `receivers/otlp` for one of a component. */
function areaOf(path: string): string {
  const parts = path.split("/");
  if (parts[0] === "src" && parts.length === 2) return path;
  return parts.slice(0, 2).join("/");
}

function isComponent(path: string): boolean {
  return COMPONENT_KINDS.includes(path.split("/")[0] ?? "");
}

function importsOf(path: string): string[] {
  const found = textOf(path).matchAll(/^(?:import|export)\b[^;]*?from "(\.[^"]+)"/gms);
  return [...found].map((match) => normalize(join(dirname(path), match[1] ?? "")));
}

function arrowProblem(from: string, to: string): string | undefined {
  const [source, target] = [areaOf(from), areaOf(to)];
  if (source === target || to.startsWith("bpf/generated/") || to === "package.json")
    return undefined;
  if (from === "src/registry.ts")
    return isComponent(to) || target === "src/component" ? undefined : "the registry";
  if (from === "src/main.ts") return undefined;
  if (isComponent(from)) {
    // Half of ebpf_l7: what it recorded goes through the same parts.
    if (source === "receivers/replay" && target === "receivers/ebpf_l7") return undefined;
    // Its backends are exporters of that kind, with their configuration.
    if (source === "exporters/load_balancing" && target === "exporters/otlp_grpc") return undefined;
    if (isComponent(to)) return "a component never imports another component";
    if (target === "src/cli" || target === "src/registry.ts") return "a component knows no agent";
    return undefined;
  }
  if (!from.startsWith("src/")) return undefined;
  if (isComponent(to)) return "the engine knows no concrete component";
  const allowed = ARROWS[source.slice("src/".length)];
  if (allowed === undefined) return `${source} is not listed in ARROWS`;
  return allowed.includes(target.slice("src/".length)) ? undefined : `${source} may not`;
}

test("imports follow the arrows", () => {
  const problems = PRODUCT.flatMap((from) =>
    importsOf(from).flatMap((to) => {
      const problem = arrowProblem(from, to);
      return problem === undefined ? [] : [`${from} imports ${to}: ${problem}`];
    }),
  );
  assert.deepEqual(problems, []);
});

test("model and protocols are pure: no Node modules, no RxJS, no clock", () => {
  const problems = PRODUCT.filter((path) => /^src\/(model|protocols)\//.test(path)).flatMap(
    (path) => {
      const text = textOf(path);
      const found =
        /^import (?!type)[^;]*from "(node:|rxjs)|\bDate\.now\(|performance\.now\(/m.exec(text);
      return found === null ? [] : [`${path}: ${found[0]}`];
    },
  );
  assert.deepEqual(problems, []);
});

test("no file reaches into rxjs/internal", () => {
  assert.deepEqual(
    SOURCES.filter((path) => /from "rxjs\/internal/.test(textOf(path))),
    [],
  );
});

test("every source begins with its licence", () => {
  const problems = FILES.filter((path) => /\.(ts|mjs|rs|c|h|sh|py|go)$|^bin\//.test(path))
    .filter((path) => !/vmlinux|package-lock|\/goldens\//.test(path))
    .filter((path) => {
      const head = textOf(path).split("\n").slice(0, 3).join("\n");
      const isKernelSide = /(^|\/)bpf\/.*\.[ch]$|\.bpf\.c$/.test(path);
      const licence = isKernelSide ? "GPL-2.0" : "Apache-2.0";
      return !new RegExp(`SPDX-License-Identifier: .*${licence}`).test(head);
    });
  assert.deepEqual(problems, []);
});

test(`no file has more than ${LINES_MAX} lines`, () => {
  const problems = SOURCES.map((path) => [path, textOf(path).split("\n").length - 1] as const)
    .filter(([, lines]) => lines > LINES_MAX)
    .map(([path, lines]) => `${path}: ${lines}`);
  assert.deepEqual(problems, []);
});

test(`no line has more than ${COLUMNS_MAX} columns, but for a long text`, () => {
  const problems = SOURCES.flatMap((path) =>
    withoutCommentsAndTexts(textOf(path))
      .split("\n")
      .map((line, at) => ({ code: line.trimEnd().replace(/ {2,}/g, " "), at: `${path}:${at + 1}` }))
      .filter(({ code }) => code.length > COLUMNS_MAX)
      .map(({ at }) => at),
  );
  assert.deepEqual(problems, []);
});

test(`no function has more than ${FUNCTION_LINES_MAX} lines`, () => {
  assert.deepEqual(
    PRODUCT.flatMap((path) => longFunctions(path)),
    [],
  );
});

/** Relies on the formatter: a block ends on the first line that is indented as its beginning. */
function longFunctions(path: string): string[] {
  const lines = textOf(path).split("\n");
  return lines.flatMap((line, at) => {
    const opens =
      /^(\s*)(?!.*\b(?:if|for|while|switch|catch)\b \().*(?:\)(?:: [^{}]+)?|=>) \{$/.exec(line);
    if (opens === null || /^\s*\}/.test(line)) return [];
    const indent = opens[1] ?? "";
    const length = lines
      .slice(at + 1)
      .findIndex((next) => next.startsWith(`${indent}}`) || next.startsWith(`${indent})`));
    return length + 2 > FUNCTION_LINES_MAX ? [`${path}:${at + 1}: ${length + 2} lines`] : [];
  });
}

test("names say what a thing is", () => {
  const names = /\b(?:function|const) (?:get|handle)[A-Z]\w*|\bclass \w*(?:Manager|Util|Utils)\b/g;
  const problems = PRODUCT.flatMap((path) =>
    [...textOf(path).matchAll(names)].map((match) => `${path}: ${match[0]}`),
  );
  const files = SOURCES.filter((path) =>
    /\/(?:utils?|helpers?|misc|common|manager)\.ts$/.test(path),
  );
  assert.deepEqual([...problems, ...files], []);
});

test("nothing is left to do without an issue's number, and no machine is named", () => {
  const words =
    /\b(?:TODO|FIXME|XXX|HACK)\b(?!.*#\d)|\/work\/(?:main|shared)|(?<![\w}*>])\/root\/\w|artifactory/;
  const problems = FILES.filter((path) => !/package-lock\.json$|tidy\.test\.ts$|vmlinux/.test(path))
    .filter((path) => /\.(ts|mjs|js|rs|c|h|sh|md|json|yaml|yml|py|go|toml)$/.test(path))
    .flatMap((path) => {
      const found = words.exec(textOf(path));
      return found === null ? [] : [`${path}: ${found[0]}`];
    });
  assert.deepEqual(problems, []);
});

test("every component has its configuration, factory, README and tests, and a registry line", () => {
  const components = new Set(PRODUCT.filter(isComponent).map(areaOf));
  const registry = textOf("src/registry.ts");
  const problems = [...components].flatMap((folder) => {
    const files = FILES.filter((path) => path.startsWith(`${folder}/`));
    const missing = ["config.ts", "factory.ts", "README.md"].filter(
      (name) => !files.includes(`${folder}/${name}`),
    );
    if (!files.some((path) => path.endsWith(".test.ts"))) missing.push("*.test.ts");
    if (!registry.includes(`"../${folder}/factory.ts"`)) missing.push("line in src/registry.ts");
    return missing.map((name) => `${folder}: ${name}`);
  });
  assert.deepEqual(problems, []);
});

test("the data path uses no assertion of types outside a function that says it is unsafe", () => {
  const problems = PRODUCT.filter((path) =>
    /^(src|receivers|processors|exporters|extensions)\//.test(path),
  ).flatMap((path) => {
    const code = withoutCommentsAndTexts(textOf(path));
    const lines = code.split("\n");
    return lines.flatMap((line, at) => {
      if (
        !/[\w)\]}] as (?!const\b)/.test(line) ||
        /^\s*(?:import|export|type|\w+ as \w+,?$)/.test(line)
      )
        return [];
      const before = lines.slice(Math.max(0, at - 15), at + 1).join("\n");
      return /unsafe\w*|function define/.test(before) ? [] : [`${path}:${at + 1}: ${line.trim()}`];
    });
  });
  assert.deepEqual(problems, []);
});

function withoutCommentsAndTexts(text: string): string {
  const blank = (match: string): string => match.replace(/[^\n]/g, " ");
  return text
    .replace(
      /(?<=[(=,:!&|?{};\n]\s*)\/(?![*/ ])(?:[^/\\\n[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\//g,
      blank,
    )
    .replace(/\/\*[\s\S]*?\*\//g, blank)
    .replace(/\/\/[^\n]*/g, blank)
    .replace(/"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\[\s\S])*`/g, blank);
}
