// SPDX-License-Identifier: Apache-2.0
// OTLP spans by hand for the tests: an encoder and a decoder that share no code with the product.

/** Ids in tests are small numbers; on the wire they are 8 big-endian bytes. */
export interface TestKey {
  readonly id: number;
  readonly role: "client" | "server";
  readonly flags?: number;
  readonly triggerKind?: number;
  readonly trigger?: number;
  readonly open?: number;
  readonly openInProcess?: number;
  readonly counterpart?: number;
  readonly pid?: number;
  readonly header?: { readonly traceId: number; readonly spanId: number };
  readonly version?: number;
}

export interface TestSpan {
  readonly key?: TestKey;
  readonly name?: string;
  readonly startNs?: bigint;
  readonly endNs?: bigint;
  /** Fields of the span in front of everything, and at its end: raw bytes. */
  readonly head?: readonly number[];
  readonly tail?: readonly number[];
}

export interface ReadSpan {
  readonly traceId: string;
  readonly spanId: number;
  /** 0: none. */
  readonly parent: number;
  readonly name: string;
  readonly service: string;
  readonly evidence: string | undefined;
  readonly confidence: number | undefined;
  readonly keys: readonly string[];
  readonly bytes: Uint8Array;
}

export function varint(value: number): number[] {
  const out: number[] = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) out.push((rest % 128) + 128);
  out.push(rest);
  return out;
}

export function bytesField(number: number, content: readonly number[]): number[] {
  return [...varint(number * 8 + 2), ...varint(content.length), ...content];
}

function text(value: string): number[] {
  return [...new TextEncoder().encode(value)];
}

function fixed64(number: number, value: bigint): number[] {
  const out = new DataView(new ArrayBuffer(8));
  out.setBigUint64(0, value, true);
  return [...varint(number * 8 + 1), ...new Uint8Array(out.buffer)];
}

export function id8(value: number): number[] {
  const out = new DataView(new ArrayBuffer(8));
  out.setBigUint64(0, BigInt(value), false);
  return [...new Uint8Array(out.buffer)];
}

export function id16(value: number): number[] {
  return [...id8(0xabcd), ...id8(value)];
}

export function attribute(key: string, value: readonly number[]): number[] {
  return bytesField(9, [...bytesField(1, text(key)), ...bytesField(2, value)]);
}

export function stringAttribute(key: string, value: string): number[] {
  return attribute(key, bytesField(1, text(value)));
}

/** The 64 bytes that src/model/stitch-key.ts describes. */
export function keyBytes(key: TestKey): number[] {
  const out = new DataView(new ArrayBuffer(64));
  const put = (at: number, bytes: readonly number[]): void => {
    for (let i = 0; i < bytes.length; i++) out.setUint8(at + i, bytes[i] ?? 0);
  };
  const flags = (key.flags ?? 0) | (key.header === undefined ? 0 : 0x10);
  put(0, [key.version ?? 1, key.role === "client" ? 1 : 2, flags, key.triggerKind ?? 0]);
  out.setUint16(4, key.open ?? 0, true);
  out.setUint16(6, key.openInProcess ?? 0, true);
  put(8, id8(key.id));
  put(16, id8(key.counterpart ?? 0));
  put(24, id8(key.trigger ?? 0));
  out.setUint32(32, key.pid ?? 1, true);
  if (key.header !== undefined) {
    put(40, id16(key.header.traceId));
    put(56, id8(key.header.spanId));
  }
  return [...new Uint8Array(out.buffer)];
}

/** What of the span goes through unchanged: everything but the ids and the key. */
export function restOf(span: TestSpan): number[] {
  return [
    ...bytesField(5, text(span.name ?? "GET")),
    ...fixed64(7, span.startNs ?? 1_700_000_000_000_000_000n),
    ...fixed64(8, span.endNs ?? 1_700_000_000_100_000_000n),
    ...stringAttribute("http.request.method", "GET"),
    ...(span.tail ?? []),
  ];
}

export function encodeSpan(span: TestSpan): number[] {
  const key =
    span.key === undefined ? [] : attribute("stitch.key", bytesField(7, keyBytes(span.key)));
  const ids =
    span.key === undefined ? [] : [...bytesField(1, id16(9)), ...bytesField(2, id8(span.key.id))];
  return [...(span.head ?? []), ...ids, ...key, ...restOf(span)];
}

export function encodeSpans(spans: readonly (readonly number[])[], service = "a"): Uint8Array {
  const resource = bytesField(
    1,
    bytesField(1, [
      ...bytesField(1, text("service.name")),
      ...bytesField(2, bytesField(1, text(service))),
    ]),
  );
  const scope = bytesField(1, bytesField(1, text("test")));
  const scopeSpans = [...scope, ...spans.flatMap((span) => bytesField(2, span))];
  return Uint8Array.from(bytesField(1, [...resource, ...bytesField(2, scopeSpans)]));
}

export function encodeChunk(spans: readonly TestSpan[], service = "a"): Uint8Array {
  return encodeSpans(spans.map(encodeSpan), service);
}

interface Field {
  readonly number: number;
  readonly content: Uint8Array;
}

function fieldsOf(bytes: Uint8Array): Field[] {
  const fields: Field[] = [];
  let at = 0;
  const readVarint = (): number => {
    let value = 0;
    let factor = 1;
    for (;;) {
      const byte = bytes[at++];
      if (byte === undefined) throw new Error("cut off");
      value += (byte & 0x7f) * factor;
      if (byte < 128) return value;
      factor *= 128;
    }
  };
  while (at < bytes.length) {
    const tag = readVarint();
    const start = at;
    const wireType = tag % 8;
    if (wireType === 0) readVarint();
    else if (wireType === 1) at += 8;
    else if (wireType === 5) at += 4;
    else {
      const length = readVarint();
      fields.push({ number: Math.floor(tag / 8), content: bytes.subarray(at, at + length) });
      at += length;
      if (at > bytes.length) throw new Error("cut off");
      continue;
    }
    fields.push({ number: Math.floor(tag / 8), content: bytes.subarray(start, at) });
  }
  return fields;
}

function contents(bytes: Uint8Array, number: number): Uint8Array[] {
  return fieldsOf(bytes)
    .filter((field) => field.number === number)
    .map((field) => field.content);
}

function textOf(bytes: Uint8Array | undefined): string {
  return new TextDecoder().decode(bytes ?? new Uint8Array(0));
}

function idOf(bytes: Uint8Array | undefined): number {
  if (bytes === undefined) return 0;
  return Number(new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, false));
}

function readSpan(bytes: Uint8Array, service: string): ReadSpan {
  const attributes = new Map<string, Uint8Array>();
  for (const content of contents(bytes, 9)) {
    const [name] = contents(content, 1);
    const [value] = contents(content, 2);
    attributes.set(textOf(name), value ?? new Uint8Array(0));
  }
  const [traceId] = contents(bytes, 1);
  const evidence = attributes.get("stitch.evidence");
  const confidence = attributes.get("stitch.confidence");
  const [double] = confidence === undefined ? [] : contents(confidence, 4);
  return {
    traceId: Buffer.from(traceId ?? new Uint8Array(0)).toString("hex"),
    spanId: idOf(contents(bytes, 2)[0]),
    parent: idOf(contents(bytes, 4)[0]),
    name: textOf(contents(bytes, 5)[0]),
    service,
    evidence: evidence === undefined ? undefined : textOf(contents(evidence, 1)[0]),
    confidence:
      double === undefined
        ? undefined
        : new DataView(double.buffer, double.byteOffset, 8).getFloat64(0, true),
    keys: [...attributes.keys()],
    bytes,
  };
}

export function readChunk(chunk: Uint8Array): ReadSpan[] {
  const spans: ReadSpan[] = [];
  for (const resourceSpans of contents(chunk, 1)) {
    const [resource] = contents(resourceSpans, 1);
    const [attribute] = resource === undefined ? [] : contents(resource, 1);
    const [value] = attribute === undefined ? [] : contents(attribute, 2);
    const service = textOf(value === undefined ? undefined : contents(value, 1)[0]);
    for (const scopeSpans of contents(resourceSpans, 2)) {
      for (const span of contents(scopeSpans, 2)) spans.push(readSpan(span, service));
    }
  }
  return spans;
}
