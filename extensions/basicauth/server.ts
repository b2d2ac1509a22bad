// SPDX-License-Identifier: Apache-2.0
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import type { HeaderLookup, ServerAuthenticator } from "../../src/component/auth.ts";
import type { BasicAuthConfig } from "./config.ts";
import { readCredentials } from "./credential-file.ts";
import { parseHtpasswd, type Verifier } from "./htpasswd.ts";

type ServerConfig = NonNullable<BasicAuthConfig["htpasswd"]>;

/** Headers that were found right: hashes such as bcrypt's take a tenth of a second by design. */
const KNOWN_MAX = 1024;
const DENIED = "invalid credentials";

/** RFC 7617, against lines of an htpasswd file. */
export class BasicServerAuth implements ServerAuthenticator {
  readonly #config: ServerConfig;
  #verifiers: ReadonlyMap<string, Verifier> = new Map();
  /** Keyed hashes, so that no credentials are kept in memory for long. */
  readonly #known = new Set<string>();
  readonly #key: Buffer = randomBytes(32);

  constructor(config: ServerConfig) {
    this.#config = config;
  }

  async start(): Promise<void> {
    const { file, inline } = this.#config;
    const fromFile = file === "" ? "" : await readCredentials(file);
    // Later lines win.
    this.#verifiers = parseHtpasswd(`${fromFile}\n${inline?.reveal() ?? ""}`);
  }

  async shutdown(): Promise<void> {}

  async authenticate(header: HeaderLookup): Promise<string | undefined> {
    const value = header("authorization");
    if (value === undefined || value === "") return "no basic auth provided";
    const encoded = /^basic +([A-Za-z0-9+/=]+) *$/i.exec(value)?.[1];
    if (encoded === undefined) return "invalid authorization scheme";
    const digest = createHash("sha256").update(this.#key).update(encoded).digest("base64");
    if (this.#known.has(digest)) return undefined;
    const text = Buffer.from(encoded, "base64").toString("utf8");
    const colon = text.indexOf(":");
    if (colon === -1) return "invalid format";
    const verifier = this.#verifiers.get(text.slice(0, colon));
    // Somebody unknown takes as long as a wrong password of the usual kinds.
    const isRight = (await (verifier ?? denyAll)(text.slice(colon + 1))) && verifier !== undefined;
    if (!isRight) return DENIED;
    if (this.#known.size >= KNOWN_MAX) this.#known.clear();
    this.#known.add(digest);
    return undefined;
  }
}

async function denyAll(password: string): Promise<boolean> {
  const [a, b] = [password, "?"].map((text) => createHash("sha256").update(text).digest());
  return a !== undefined && b !== undefined && timingSafeEqual(a, b);
}
