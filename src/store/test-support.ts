// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { fromOtlpJson } from "../pdata/json-decode.ts";
import { REQUESTS } from "../pdata/requests.ts";
import { type DropReason, StoreWriter, type StoreWriterOptions } from "./store-writer.ts";

/** A span as OTLP/JSON, with times that follow from its number. */
export interface TestSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly name: string;
  readonly [field: string]: unknown;
}

/** 2026-01-01T00:00:00Z. */
export const START_NS = 1_767_225_600_000_000_000n;

export function hex(number: number, digits: number): string {
  return number.toString(16).padStart(digits, "0");
}

/** Span `number` begins so many milliseconds after `START_NS` and takes 1 ms. */
export function testSpan(number: number, fields: Readonly<Record<string, unknown>> = {}): TestSpan {
  const startNs = START_NS + BigInt(number) * 1_000_000n;
  return {
    traceId: hex(1 + Math.floor(number / 10), 32),
    spanId: hex(1 + number, 16),
    name: `operation ${number % 3}`,
    kind: 2,
    startTimeUnixNano: String(startNs),
    endTimeUnixNano: String(startNs + 1_000_000n),
    ...fields,
  };
}

/** The body of an OTLP request with these spans of one service. */
export function body(service: string, spans: readonly TestSpan[]): Uint8Array {
  const attributes = [{ key: "service.name", value: { stringValue: service } }];
  const scopeSpans = [{ scope: { name: "lib", version: "1" }, spans }];
  const json = JSON.stringify({ resourceSpans: [{ resource: { attributes }, scopeSpans }] });
  const result = fromOtlpJson(REQUESTS.traces.request, json);
  assert.ok(result.ok);
  return result.bytes;
}

export async function temporaryDirectory(context: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "backstitch-store-"));
  context.after(() => rm(path, { recursive: true, force: true }));
  return path;
}

export interface OpenedStore {
  readonly writer: StoreWriter;
  readonly dropped: Map<DropReason, number>;
  /** Messages of the log. */
  readonly lines: string[];
}

export async function openStore(
  context: TestContext,
  directory: string,
  options: Partial<StoreWriterOptions> = {},
): Promise<OpenedStore> {
  const dropped = new Map<DropReason, number>();
  const lines: string[] = [];
  const log = (message: string): void => void lines.push(message);
  const writer = await StoreWriter.open({
    directory,
    bytesMax: 2 ** 30,
    ageMaxMs: 0,
    logger: { debug: log, info: log, warn: log, error: log },
    nowMs: Date.now,
    onDropped: (reason, spans) => dropped.set(reason, (dropped.get(reason) ?? 0) + spans),
    onFailed: log,
    ...options,
  });
  context.after(() => writer.close());
  return { writer, dropped, lines };
}
