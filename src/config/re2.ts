// SPDX-License-Identifier: Apache-2.0

/** A regular expression of RE2's syntax, as the Collector has them, compiled for JavaScript. */
export interface Re2 {
  readonly regexp: RegExp;
  /** Of each group from the first on; "" for a group without a name. */
  readonly groupNames: readonly string[];
}

const POSIX: Readonly<Record<string, string>> = {
  alnum: "0-9A-Za-z",
  alpha: "A-Za-z",
  digit: "0-9",
  lower: "a-z",
  upper: "A-Z",
  space: "\\t\\n\\v\\f\\r ",
  punct: "!-\\/:-@\\[-`{-~",
  word: "0-9A-Za-z_",
  xdigit: "0-9A-Fa-f",
};

/**
 * Compiles a pattern; a text is what is wrong with it. Groups by name become groups by number,
 * `(?i)` and the like at the start become flags, `\A`, `\z`, `\Q…\E` and POSIX classes are
 * written as JavaScript has them.
 */
export function compileRe2(pattern: string): Re2 | string {
  const head = /^\(\?([ims]+)\)/.exec(pattern);
  const flags = new Set(head?.[1] ?? "");
  const groupNames: string[] = [];
  const source = translate(pattern.slice(head?.[0].length ?? 0), groupNames);
  if (/\\[pP]/.test(source)) flags.add("u");
  try {
    return { regexp: new RegExp(source, [...flags].join("")), groupNames };
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function translate(pattern: string, groupNames: string[]): string {
  let out = "";
  let rest = pattern;
  let inClass = false;
  const take = (length: number, as: string): void => {
    out += as;
    rest = rest.slice(length);
  };
  while (rest !== "") {
    const quoted = /^\\Q([\s\S]*?)(?:\\E|$)/.exec(rest);
    const named = inClass ? null : /^\(\?P?<(\w+)>/.exec(rest);
    const posix = inClass ? /^\[:(\w+):\]/.exec(rest) : null;
    if (quoted !== null) {
      take(quoted[0].length, (quoted[1] ?? "").replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"));
    } else if (rest.startsWith("\\A")) take(2, "(?<![\\s\\S])");
    else if (rest.startsWith("\\z")) take(2, "(?![\\s\\S])");
    else if (/^\\[pP][A-Z]/.test(rest)) take(3, `${rest.slice(0, 2)}{${rest.slice(2, 3)}}`);
    else if (rest.startsWith("\\")) take(2, rest.slice(0, 2));
    else if (posix !== null) take(posix[0].length, POSIX[posix[1] ?? ""] ?? posix[0]);
    else if (named !== null) {
      groupNames.push(named[1] ?? "");
      take(named[0].length, "(");
    } else {
      const character = rest.charAt(0);
      if (!inClass && character === "(" && !rest.startsWith("(?")) groupNames.push("");
      if (character === "[" && !inClass) inClass = true;
      else if (character === "]" && inClass) inClass = false;
      take(1, character);
    }
  }
  return out;
}
