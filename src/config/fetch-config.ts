// SPDX-License-Identifier: Apache-2.0
import type { Factory } from "../component/component.ts";
import { messageOf } from "../component/errors.ts";
import { type Loaded, type LoadInputs, loadConfig } from "./load.ts";

const TIMEOUT_MS = 10_000;
const BYTES_MAX = 16 * 1024 * 1024;
/** A fetched text may refer to further addresses, but not for ever. */
const ROUNDS_MAX = 20;

export interface FetchInputs extends Omit<LoadInputs, "readUrl" | "readComponents"> {
  /** Rejects with what is wrong with a module of `service::components`. */
  readonly importComponents?: (specifier: string, directory: string) => Promise<readonly Factory[]>;
}

type Imported = { readonly factories: readonly Factory[] } | { readonly problem: string };

/** Modules that were asked for, by directory and specifier. */
class Modules {
  readonly #import: FetchInputs["importComponents"];
  readonly #known = new Map<string, Imported>();
  #missing: (() => Promise<void>)[] = [];

  constructor(importComponents: FetchInputs["importComponents"]) {
    this.#import = importComponents;
  }

  read(specifier: string, directory: string): readonly Factory[] {
    const key = `${directory}\0${specifier}`;
    const known = this.#known.get(key);
    if (known === undefined) {
      this.#missing.push(async () => {
        this.#known.set(key, await this.#load(specifier, directory));
      });
      throw new Error("it is not loaded");
    }
    if ("problem" in known) throw new Error(known.problem);
    return known.factories;
  }

  /** True when something was missing; it is there then. */
  async loadMissing(): Promise<boolean> {
    const missing = this.#missing;
    this.#missing = [];
    await Promise.all(missing.map((load) => load()));
    return missing.length > 0;
  }

  async #load(specifier: string, directory: string): Promise<Imported> {
    if (this.#import === undefined) return { problem: "there is nothing to load modules with" };
    try {
      return { factories: await this.#import(specifier, directory) };
    } catch (error) {
      return { problem: messageOf(error) };
    }
  }
}

/**
 * `loadConfig` with `http:` and `https:` addresses, wherever they stand, and with modules. Reading is
 * synchronous, so it is done again, with what was fetched meanwhile, until nothing is missing.
 * Throws `ConfigError`.
 */
export async function fetchConfig({ importComponents, ...inputs }: FetchInputs): Promise<Loaded> {
  const known = new Map<string, Fetched>();
  const modules = new Modules(importComponents);
  const readComponents = modules.read.bind(modules);
  for (let round = 1; ; round++) {
    const missing = new Set<string>();
    const readUrl = (url: string): string => {
      const fetched = known.get(url);
      if (fetched === undefined) {
        missing.add(url);
        throw new Error(`too many addresses that refer to each other, at "${url}"`);
      }
      if (fetched.problem !== undefined) throw new Error(fetched.problem);
      return fetched.text;
    };
    try {
      const loaded = loadConfig({ ...inputs, readUrl, readComponents });
      if (missing.size === 0) return loaded;
    } catch (error) {
      const wereMissing = await modules.loadMissing();
      if ((missing.size === 0 && !wereMissing) || round === ROUNDS_MAX) throw error;
    }
    await Promise.all([...missing].map(async (url) => known.set(url, await fetchText(url))));
  }
}

interface Fetched {
  readonly text: string;
  readonly problem: string | undefined;
}

async function fetchText(url: string): Promise<Fetched> {
  const shown = withoutSecrets(url);
  const failed = (what: string): Fetched => ({ text: "", problem: `${what} "${shown}"` });
  try {
    const response = await fetch(...requestFor(url));
    if (response.status !== 200) {
      const problem = `failed to load resource from uri "${shown}". status code: ${response.status}`;
      await response.body?.cancel();
      return { text: "", problem };
    }
    const text = await readBounded(response);
    return text === undefined
      ? failed(`more than ${BYTES_MAX} bytes of configuration from`)
      : { text, problem: undefined };
  } catch (error) {
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
    return failed(`cannot read the configuration (${messageOf(cause)}) from`);
  }
}

/** A user and password in the address become a header: `fetch` refuses them. */
function requestFor(text: string): [URL, RequestInit] {
  const url = new URL(text);
  const { username, password } = url;
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  if (username === "" && password === "") return [url, { signal }];
  url.username = "";
  url.password = "";
  const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  const authorization = `Basic ${Buffer.from(credentials).toString("base64")}`;
  return [url, { signal, headers: { authorization } }];
}

async function readBounded(response: Response): Promise<string | undefined> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body ?? []) {
    length += chunk.length;
    if (length > BYTES_MAX) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** Without user, password and query. */
function withoutSecrets(url: string): string {
  const parsed = URL.parse(url);
  return parsed === null ? url : `${parsed.protocol}//${parsed.host}${parsed.pathname}`;
}
