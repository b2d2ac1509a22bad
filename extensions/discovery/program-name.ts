// SPDX-License-Identifier: Apache-2.0
import { basename, dirname, posix } from "node:path";

/** What the name of a program is derived from. */
export interface Program {
  readonly exe: string;
  readonly args: readonly string[];
  readonly workingDirectory: string;
  /** A text file by its path in the process's own root. */
  readText(path: string): string | undefined;
}

/** How an interpreter's command line is read. */
interface Interpreter {
  /** Of the executable's file name, or of the name that it was called by. */
  readonly names: RegExp;
  /** Options that take the next argument as their value. */
  readonly valued: ReadonlySet<string>;
  /** Options whose value is the program: a script, a module, a main class. */
  readonly program: ReadonlySet<string>;
  /** Options after which there is no script: its text is the value. */
  readonly inline: ReadonlySet<string>;
  /** Words before the script (`deno run x.ts`). */
  readonly verbs?: ReadonlySet<string>;
  readonly runtimeName?: string;
  readonly nameOf: (script: string, program: Program) => string;
}

function words(text: string): ReadonlySet<string> {
  return new Set(text.split(" "));
}

const NONE: ReadonlySet<string> = new Set();
/** Endings that say how a script is run and not what it is. */
const EXTENSION = /\.(?:[cm]?[jt]sx?|pyc?|pyz|rb|ru|pl|php|phar|sh|bash|lua|R|dll|exe|jar|war)$/;

const JAVASCRIPT_NAME = { nameOf: javascriptName } as const;

const INTERPRETERS: readonly Interpreter[] = [
  {
    names: /^(?:node|nodejs|tsx)$/,
    valued: words(
      "-r --require --import --loader --experimental-loader -C --conditions --env-file" +
        " --env-file-if-exists --title --icu-data-dir --openssl-config --input-type",
    ),
    program: NONE,
    inline: words("-e --eval -p --print -pe -i --interactive --test"),
    verbs: words("inspect"),
    runtimeName: "nodejs",
    ...JAVASCRIPT_NAME,
  },
  {
    names: /^deno$/,
    valued: words("-c --config --import-map --env-file"),
    program: NONE,
    inline: words("eval repl"),
    verbs: words("run serve"),
    runtimeName: "deno",
    ...JAVASCRIPT_NAME,
  },
  {
    names: /^bun$/,
    valued: words("-r --preload --cwd -c --config"),
    program: NONE,
    inline: words("-e --eval -p --print"),
    verbs: words("run"),
    runtimeName: "bun",
    ...JAVASCRIPT_NAME,
  },
  {
    names: /^python[\d.]*$/,
    valued: words("-W -X --check-hash-based-pycs"),
    program: words("-m"),
    inline: words("-c"),
    runtimeName: "cpython",
    nameOf: pythonName,
  },
  {
    names: /^pypy[\d.]*$/,
    valued: words("-W -X"),
    program: words("-m"),
    inline: words("-c"),
    runtimeName: "pypy",
    nameOf: pythonName,
  },
  {
    names: /^java$/,
    valued: words(
      "-cp -classpath --class-path -p --module-path --upgrade-module-path --add-modules" +
        " --add-opens --add-exports --add-reads --limit-modules --patch-module" +
        " --enable-native-access --source",
    ),
    program: words("-jar -m --module"),
    inline: NONE,
    nameOf: javaName,
  },
  {
    names: /^(?:ruby|jruby)[\d.]*$/,
    valued: words("-I -C -E"),
    program: NONE,
    inline: words("-e"),
    runtimeName: "ruby",
    nameOf: scriptName,
  },
  {
    names: /^perl[\d.]*$/,
    valued: words("-I"),
    program: NONE,
    inline: words("-e -E"),
    nameOf: scriptName,
  },
  {
    names: /^php[\d.]*$/,
    valued: words("-c -d -S -t -z"),
    program: words("-f"),
    inline: words("-r"),
    nameOf: scriptName,
  },
  {
    names: /^(?:ba|da|z|k|a)?sh$/,
    valued: words("-o +o -O +O --rcfile --init-file"),
    program: NONE,
    inline: words("-c"),
    nameOf: scriptName,
  },
  {
    names: /^dotnet$/,
    valued: words("--depsfile --runtimeconfig --additionalprobingpath --fx-version --roll-forward"),
    program: NONE,
    inline: words("run build test publish restore watch"),
    verbs: words("exec"),
    runtimeName: ".NET",
    nameOf: scriptName,
  },
  {
    names: /^lua[\d.]*$/,
    valued: words("-l"),
    program: NONE,
    inline: words("-e"),
    nameOf: scriptName,
  },
];

/** The script or module of an interpreter, else the executable; never empty. */
export function programName(program: Program): string {
  const interpreter = interpreterOf(program);
  const script = interpreter === undefined ? undefined : findScript(interpreter, program.args);
  const name = script === undefined ? "" : (interpreter?.nameOf(script, program) ?? "");
  return name === "" ? executableName(program) : name;
}

/** The executable's file name; of a multi-call binary the name that it was called by. */
export function executableName(program: Pick<Program, "exe" | "args">): string {
  const name = basename(program.exe);
  const called = calledAs(program.args);
  if (name === "" || /^(?:busybox|toybox)/.test(name)) return called === "" ? "unknown" : called;
  return name;
}

/** `process.runtime.name` where the executable makes it obvious. */
export function runtimeName(program: Pick<Program, "exe" | "args">): string | undefined {
  return interpreterOf(program)?.runtimeName;
}

function calledAs(args: readonly string[]): string {
  return basename((args[0] ?? "").split(" ")[0] ?? "").replace(/^-|:$/g, "");
}

function interpreterOf(program: Pick<Program, "exe" | "args">): Interpreter | undefined {
  const names = [basename(program.exe), calledAs(program.args)];
  return INTERPRETERS.find((interpreter) => names.some((name) => interpreter.names.test(name)));
}

function findScript(interpreter: Interpreter, args: readonly string[]): string | undefined {
  let verbs = interpreter.verbs ?? NONE;
  for (let at = 1; at < args.length; at++) {
    const arg = args[at] ?? "";
    if (interpreter.program.has(arg)) return args[at + 1];
    if (interpreter.inline.has(arg)) return undefined;
    if (arg === "--") return args[at + 1];
    if (interpreter.valued.has(arg)) {
      at++;
    } else if (arg.startsWith("-") || (arg.startsWith("+") && arg.length > 1)) {
      // Short options may stand together, with the one that takes a value last: python -um mod.
      const last = /^-[A-Za-z]{2,3}$/.test(arg) ? `-${arg.slice(-1)}` : "";
      if (interpreter.program.has(last)) return args[at + 1];
      if (interpreter.inline.has(last)) return undefined;
    } else if (verbs.has(arg)) {
      verbs = NONE;
    } else {
      return arg;
    }
  }
  return undefined;
}

function scriptName(script: string): string {
  return basename(script).replace(EXTENSION, "");
}

const SERVERS = /^(?:gunicorn|uvicorn|hypercorn|daphne|granian|waitress-serve|waitress)[\d.]*$/;
const GENERIC_MODULE = words("main app wsgi asgi server application");

/** Under an application server its application (`shop.wsgi:app`) says more than the server. */
function pythonName(script: string, program: Program): string {
  const name = script.includes("/") || script.endsWith(".py") ? scriptName(script) : script;
  const base = name.replace(/\.__main__$/, "");
  if (SERVERS.test(base)) return applicationName(program.args) ?? base;
  if (base === "__main__" || base === "manage") {
    return basename(dirname(absolute(script, program))) || base;
  }
  return base;
}

function applicationName(args: readonly string[]): string | undefined {
  const spec = args.find((arg) => /^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*(?:\(.*\))?$/.test(arg));
  const parts = spec?.slice(0, spec.indexOf(":")).split(".") ?? [];
  return parts.find((part) => !GENERIC_MODULE.has(part));
}

const GENERIC_SCRIPT = words("index server main app start www");
const GENERIC_FOLDER = words("dist build lib src bin out server app");

/** `index.js` and its like say nothing: then the package's name, or that of its folder. */
function javascriptName(script: string, program: Program): string {
  const name = scriptName(script);
  if (!GENERIC_SCRIPT.has(name)) return name;
  let folder = dirname(absolute(script, program));
  for (let level = 0; level < 3 && folder !== "/" && folder !== "."; level++) {
    const packaged = packageName(program.readText(`${folder}/package.json`));
    if (packaged !== undefined) return packaged;
    if (!GENERIC_FOLDER.has(basename(folder))) return basename(folder);
    folder = dirname(folder);
  }
  return name;
}

function packageName(json: string | undefined): string | undefined {
  if (json === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(json);
    if (typeof value !== "object" || value === null || !("name" in value)) return undefined;
    const { name } = value;
    return typeof name === "string" && name !== "" ? name.replace(/^@[^/]*\//, "") : undefined;
  } catch {
    return undefined;
  }
}

const GENERIC_CLASS = words("Main App Application Server Launcher Bootstrap");

/** `orders-1.4.2.jar` is `orders`; `com.acme.orders.Main` is `orders`; `acme/com.acme.Shop` is `Shop`. */
function javaName(program: string): string {
  if (/\.(?:jar|war)$/.test(program)) {
    return scriptName(program).replace(/-\d+(?:\.\d+)*(?:[-.](?:SNAPSHOT|RELEASE|Final|GA))?$/, "");
  }
  if (program.endsWith(".java")) return basename(program, ".java");
  const parts = program.slice(program.indexOf("/") + 1).split(".");
  const last = parts.at(-1) ?? "";
  return GENERIC_CLASS.has(last) ? (parts.at(-2) ?? last) : last;
}

function absolute(path: string, program: Program): string {
  return posix.resolve(program.workingDirectory === "" ? "/" : program.workingDirectory, path);
}
