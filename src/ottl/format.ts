// SPDX-License-Identifier: Apache-2.0
import { formatDuration } from "../config/duration.ts";
import { Duration, Float, Time, type Value } from "./value.ts";

/** A value as text: numbers as Go prints them, bytes in hexadecimal, lists and maps as JSON. */
export function stringOf(value: Value): string {
  if (typeof value === "string") return value;
  if (value === undefined) return "";
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  if (value instanceof Float) return floatText(value.value);
  if (value instanceof Time) return rfc3339(value.ns);
  if (value instanceof Duration) return formatDuration(Number(value.ns));
  if (typeof value === "number") return Number.isInteger(value) ? `${value}` : floatText(value);
  if (typeof value === "object") return JSON.stringify(plain(value));
  return String(value);
}

/** Without an exponent, as Go's 'f' with the shortest precision. */
function floatText(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "+Inf" : "-Inf";
  const text = String(value);
  if (!text.includes("e")) return text;
  return value.toLocaleString("en-US", { useGrouping: false, maximumSignificantDigits: 17 });
}

function plain(value: Value): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (value instanceof Map) {
    const sorted = [...value].sort(([a], [b]) => (a < b ? -1 : 1));
    return Object.fromEntries(sorted.map(([key, item]) => [key, plain(item)]));
  }
  if (Array.isArray(value)) return value.map((item: Value) => plain(item));
  if (value instanceof Float) return value.value;
  if (typeof value === "bigint") return Number(value);
  if (value instanceof Time || value instanceof Duration) return stringOf(value);
  return value ?? null;
}

/** `2006-01-02T15:04:05.999999999Z`. */
export function rfc3339(ns: bigint): string {
  const whole = new Date(Number(ns / 1_000_000_000n) * 1000).toISOString().slice(0, 19);
  const fraction = (ns % 1_000_000_000n).toString().padStart(9, "0").replace(/0+$/, "");
  return `${whole}${fraction === "" ? "" : `.${fraction}`}Z`;
}
