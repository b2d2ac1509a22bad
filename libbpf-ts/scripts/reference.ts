// SPDX-License-Identifier: Apache-2.0
// Writes docs/generated/api.md: every export of the package with its docstring and signature.
import { readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const ROOT = new URL("..", import.meta.url);
const OUTPUT = new URL("docs/generated/api.md", ROOT);

interface Declaration {
  readonly doc: string;
  readonly signature: string;
  readonly name: string;
  readonly members: readonly Declaration[];
}

/** Files and names that `src/index.ts` exports; `*` stands for all of a file. */
function exportsOf(index: string): readonly (readonly [file: string, names: readonly string[]])[] {
  const lines = index.matchAll(/^export (?:type )?(?:\{([^}]*)\}|(\*)) from "\.\/([^"]+)";/gm);
  return [...lines].map(([, names = "", star, file = ""]) => [
    file,
    star === "*"
      ? ["*"]
      : names
          .split(",")
          .map((name) => name.replace(/^\s*type\s+/, "").trim())
          .filter((name) => name !== ""),
  ]);
}

function cleanDoc(lines: readonly string[]): string {
  return lines
    .map((line) => line.replace(/^\s*(?:\/\*\*|\*\/|\*)? ?/, "").replace(/\s*\*\/$/, ""))
    .join("\n")
    .trim()
    .replace(/\{@link ([\w.]+)\}/g, "`$1`");
}

/** From where a declaration starts to where its body or the declaration itself ends. */
function signatureAt(lines: readonly string[], start: number): string {
  const taken: string[] = [];
  if (/^export type/.test(lines[start] ?? "")) {
    const end = lines.findIndex((line, at) => at >= start && /^(?:\S|\s+\|).*;$/.test(line));
    return lines
      .slice(start, end + 1)
      .join("\n")
      .replace(/;$/, "");
  }
  for (let at = start; at < lines.length && taken.length < 12; at++) {
    const line = lines[at] ?? "";
    taken.push(line.trim());
    if (/[{;]$/.test(line) && !/^\s*\|/.test(lines[at + 1] ?? "") && isBalanced(taken.join(" "))) {
      break;
    }
  }
  return taken
    .join(" ")
    .replace(/\s*\{$/, "")
    .replace(/;$/, "")
    .replace(/\( /g, "(")
    .replace(/, \)/g, ")");
}

function isBalanced(text: string): boolean {
  const body = text.replace(/\{$/, "");
  return (body.match(/[({]/g)?.length ?? 0) === (body.match(/[)}]/g)?.length ?? 0);
}

/** Declarations at one level of indentation; relies on the formatter. */
function declarations(lines: readonly string[], indent: string): readonly Declaration[] {
  const found: Declaration[] = [];
  const start = new RegExp(
    indent === ""
      ? "^export (?:abstract )?(?:async )?(?:class|interface|type|function\\*?|const) (\\w+)"
      : `^${indent}(?:readonly |static |async |get |\\*)*(\\w+)[?(:<]`,
  );
  let doc: string[] = [];
  let isInDoc = false;
  for (const [at, line] of lines.entries()) {
    if (line.startsWith(`${indent}/**`)) {
      doc = [];
      isInDoc = true;
    }
    if (isInDoc) {
      doc.push(line);
      isInDoc = !line.includes("*/");
      continue;
    }
    const name = start.exec(line)?.[1];
    if (name !== undefined) {
      const end = lines.findIndex((each, index) => index > at && each.startsWith(`${indent}}`));
      const members = indent === "" && /class|interface/.test(line) && end > at;
      found.push({
        doc: cleanDoc(doc),
        signature: signatureAt(lines, at),
        name,
        members: members ? declarations(lines.slice(at + 1, end), "  ") : [],
      });
    }
    doc = line.trim() === "" || name !== undefined ? [] : doc;
  }
  return found;
}

function isForUsers(declaration: Declaration): boolean {
  const { doc, name } = declaration;
  return !doc.startsWith("For this package") && name !== "constructor" && !doc.startsWith("For {@");
}

function writeDeclaration(declaration: Declaration): readonly string[] {
  const { name, doc, signature, members } = declaration;
  const lines = [`### ${name}`, "", "```ts", signature.replace(/^export /, ""), "```", ""];
  if (doc !== "") {
    lines.push(doc, "");
  }
  for (const member of members.filter(isForUsers)) {
    const text = member.doc.replace(/\n+/g, " ");
    lines.push(
      `- \`${member.signature.replace(/^readonly /, "")}\`${text === "" ? "" : `: ${text}`}`,
    );
  }
  return members.length > 0 ? [...lines, ""] : lines;
}

/** The whole reference as Markdown. */
export function writeReference(): string {
  const index = readFileSync(new URL("src/index.ts", ROOT), "utf8");
  const out = [
    "# API of libbpf-ts",
    "",
    "Generated from the docstrings by `npm run reference`.",
    "",
  ];
  for (const [file, names] of exportsOf(index)) {
    const lines = readFileSync(new URL(`src/${file}`, ROOT), "utf8").split("\n");
    const wanted = declarations(lines, "").filter(
      (each) => (names.includes("*") || names.includes(each.name)) && isForUsers(each),
    );
    if (wanted.length > 0) {
      out.push(`## ${file.replace(".ts", "").replaceAll("-", " ")}`, "");
      out.push(...wanted.flatMap(writeDeclaration));
    }
  }
  return `${out
    .join("\n")
    .replace(/\n{3,}/g, "\n\n")
    .trimEnd()}\n`;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  writeFileSync(OUTPUT, writeReference());
}
