// SPDX-License-Identifier: Apache-2.0
import { type Arguments, type Converters, define, mapping, needText } from "../arguments.ts";
import type { Getter } from "../fields.ts";
import { kindOf, OttlEvaluationError, toFloat, type Value } from "../value.ts";

function parseJson(value: Value): Value {
  try {
    return fromJson(JSON.parse(needText(value)));
  } catch (error) {
    if (error instanceof OttlEvaluationError) throw error;
    throw new OttlEvaluationError(`not JSON: ${error instanceof Error ? error.message : ""}`);
  }
}

/** JSON has one kind of number: a double, as the Collector reads it. */
function fromJson(value: unknown): Value {
  if (typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "number") return toFloat(value);
  if (Array.isArray(value)) return value.map((item: unknown) => fromJson(item));
  if (typeof value !== "object" || value === null) return undefined;
  return new Map(Object.entries(value).map(([key, item]) => [key, fromJson(item)]));
}

/** Splits at the delimiter outside quotes. */
function splitQuoted(text: string, delimiter: string): string[] {
  const parts: string[] = [];
  let part = "";
  let quote = "";
  for (let at = 0; at < text.length; ) {
    const character = text.charAt(at);
    if (quote !== "") {
      if (character === quote) quote = "";
      part += character;
    } else if (text.startsWith(delimiter, at)) {
      parts.push(part);
      part = "";
      at += delimiter.length;
      continue;
    } else {
      if (character === '"' || character === "'") quote = character;
      part += character;
    }
    at++;
  }
  if (quote !== "") throw new OttlEvaluationError("never reached the end of a quoted value");
  return [...parts, part];
}

const unquoted = (text: string): string => text.trim().replace(/^(["'])(.*)\1$/s, "$2");

function parseKeyValue(args: Arguments): Getter {
  const target = args.text("target");
  const delimiter = args.literalText("delimiter") ?? "=";
  const pairDelimiter = args.literalText("pair_delimiter") ?? " ";
  if (delimiter === "" || pairDelimiter === "") throw args.wrong("delimiter", "must not be empty");
  if (delimiter === pairDelimiter) throw args.wrong("pair_delimiter", "must differ from delimiter");
  return (telemetry) => {
    const text = target(telemetry);
    if (text === "") throw new OttlEvaluationError("cannot parse from empty target");
    const pairs = splitQuoted(text.trim(), pairDelimiter).filter((pair) => pair.trim() !== "");
    return new Map(
      pairs.map((pair) => {
        const [key = "", ...rest] = splitQuoted(pair, delimiter);
        if (rest.length === 0) {
          throw new OttlEvaluationError(`cannot split ${JSON.stringify(pair)} into 2 items`);
        }
        return [unquoted(key), unquoted(rest.join(delimiter))];
      }),
    );
  };
}

/** Fields of one line (RFC 4180); in `lazy` mode a quote inside a field is a character. */
function csvFields(line: string, delimiter: string, mode: string): string[] {
  if (mode === "ignoreQuotes") return line.split(delimiter);
  const fields: string[] = [];
  let at = 0;
  while (at <= line.length) {
    if (line.charAt(at) === '"') {
      let field = "";
      at++;
      while (at < line.length) {
        if (line.charAt(at) !== '"') field += line.charAt(at++);
        else if (line.charAt(at + 1) === '"') {
          field += '"';
          at += 2;
        } else break;
      }
      if (line.charAt(at) !== '"' && mode === "strict") {
        throw new OttlEvaluationError("a quoted field does not end");
      }
      fields.push(field);
      at = line.indexOf(delimiter, at);
      if (at === -1) return fields;
      at += delimiter.length;
      continue;
    }
    const end = line.indexOf(delimiter, at);
    const field = line.slice(at, end === -1 ? undefined : end);
    if (mode === "strict" && field.includes('"')) {
      throw new OttlEvaluationError('bare " in non-quoted-field');
    }
    fields.push(field);
    if (end === -1) return fields;
    at = end + delimiter.length;
  }
  return fields;
}

function parseCsv(args: Arguments): Getter {
  const [target, headers] = [args.text("target"), args.text("header")];
  const delimiter = args.literalText("delimiter") ?? ",";
  const headerDelimiter = args.literalText("headerDelimiter") ?? delimiter;
  const mode = args.literalText("mode") ?? "strict";
  if (delimiter.length !== 1) throw args.wrong("delimiter", "must be a single character");
  if (!["strict", "lazyQuotes", "ignoreQuotes"].includes(mode)) {
    throw args.wrong("mode", "must be strict, lazyQuotes or ignoreQuotes");
  }
  return (telemetry) => {
    const names = headers(telemetry).split(headerDelimiter);
    const fields = csvFields(target(telemetry), delimiter, mode);
    if (names.length !== fields.length) {
      throw new OttlEvaluationError(
        `wrong number of fields: expected ${names.length}, found ${fields.length}`,
      );
    }
    return new Map(names.map((name, at) => [name, fields[at] ?? ""]));
  };
}

function extractPatterns(args: Arguments): Getter {
  const target = args.text("target");
  const pattern = args.pattern("pattern");
  if (
    args.isLiteral("pattern") &&
    args.constantPattern("pattern").groupNames.every((name) => name === "")
  ) {
    throw args.wrong("pattern", "at least 1 named capture group must be supplied");
  }
  return (telemetry) => {
    const { regexp, groupNames } = pattern(telemetry);
    regexp.lastIndex = 0;
    const match = regexp.exec(target(telemetry));
    const found = new Map<string, Value>();
    if (match === null) return found;
    groupNames.forEach((name, at) => {
      if (name !== "") found.set(name, match[at + 1] ?? "");
    });
    return found;
  };
}

/** Parts by the semantic conventions' `url.*` attributes. */
function parseUrl(value: Value): Value {
  const text = needText(value);
  if (!URL.canParse(text)) throw new OttlEvaluationError(`not a URL: ${text}`);
  const url = new URL(text);
  const port = url.port === "" ? { "http:": 80, "https:": 443 }[url.protocol] : Number(url.port);
  const dot = url.pathname.lastIndexOf(".");
  const hasExtension = dot > url.pathname.lastIndexOf("/");
  const parts: [string, Value][] = [
    ["url.original", text],
    ["url.scheme", url.protocol.replace(":", "")],
    ["url.domain", url.hostname],
    ["url.path", url.pathname],
  ];
  if (port !== undefined) parts.push(["url.port", port]);
  if (url.search !== "") parts.push(["url.query", url.search.slice(1)]);
  if (url.hash !== "") parts.push(["url.fragment", url.hash.slice(1)]);
  if (url.username !== "") parts.push(["url.username", decodeURIComponent(url.username)]);
  if (url.password !== "") parts.push(["url.password", decodeURIComponent(url.password)]);
  if (url.username !== "") parts.push(["url.user_info", `${url.username}:${url.password}`]);
  if (hasExtension) parts.push(["url.extension", url.pathname.slice(dot + 1)]);
  return new Map(parts);
}

function sliceToMap(args: Arguments): Getter {
  const target = args.list("target");
  const keyPath = args.literalTexts("keyPath");
  const valuePath = args.has("valuePath") ? args.literalTexts("valuePath") : [];
  const follow = (value: Value, path: readonly string[]): Value =>
    path.reduce<Value>((found, key) => (found instanceof Map ? found.get(key) : undefined), value);
  return (telemetry) =>
    new Map(
      target(telemetry).map((item, at) => {
        const key = keyPath.length === 0 ? String(at) : follow(item, keyPath);
        if (typeof key !== "string") {
          throw new OttlEvaluationError(`expected string as key but got ${kindOf(key)}`);
        }
        return [key, follow(item, valuePath)];
      }),
    );
}

export const PARSE: Converters = [
  mapping("ParseJSON", parseJson),
  mapping("URL", parseUrl),
  define("ParseKeyValue", "target delimiter? pair_delimiter?", parseKeyValue),
  define("ParseCSV", "target header delimiter? headerDelimiter? mode?", parseCsv),
  define("ExtractPatterns", "target pattern", extractPatterns),
  define("SliceToMap", "target keyPath? valuePath?", sliceToMap),
];
