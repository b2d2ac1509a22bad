// SPDX-License-Identifier: Apache-2.0

/**
 * Compiles a glob to an anchored regular expression: `*` (and `**`) is any run of characters,
 * `/` included; `?` is one character but `/`; `[a-z]` and `[!a-z]` are sets; `{a,b}` are
 * alternatives; `\` takes away the meaning of the next character. Throws a SyntaxError that
 * says what is open.
 */
export function compileGlob(glob: string): RegExp {
  let source = "";
  let depth = 0;
  for (let at = 0; at < glob.length; at++) {
    const char = glob.charAt(at);
    if (char === "*") {
      while (glob[at + 1] === "*") at++;
      source += ".*";
    } else if (char === "?") {
      source += "[^/]";
    } else if (char === "[") {
      const end = glob.indexOf("]", glob[at + 1] === "!" ? at + 3 : at + 2);
      if (end < 0) throw new SyntaxError(`glob "${glob}": "[" without "]"`);
      source += setSource(glob.slice(at + 1, end));
      at = end;
    } else if (char === "{") {
      depth++;
      source += "(?:";
    } else if (char === "}" && depth > 0) {
      depth--;
      source += ")";
    } else if (char === "," && depth > 0) {
      source += "|";
    } else if (char === "\\" && at + 1 < glob.length) {
      at++;
      source += escaped(glob.charAt(at));
    } else {
      source += escaped(char);
    }
  }
  if (depth > 0) throw new SyntaxError(`glob "${glob}": "{" without "}"`);
  return new RegExp(`^${source}$`, "s");
}

function escaped(char: string): string {
  return /[\\^$.*+?()[\]{}|/]/.test(char) ? `\\${char}` : char;
}

function setSource(inner: string): string {
  const negated = inner.startsWith("!");
  const members = (negated ? inner.slice(1) : inner).replace(/[\\\]^[]/g, "\\$&");
  return `[${negated ? "^" : ""}${members}]`;
}
