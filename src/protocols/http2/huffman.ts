// SPDX-License-Identifier: Apache-2.0

/**
 * RFC 7541 appendix B: bits of each symbol's code, 0 to 255 and EOS. The code is canonical: codes of
 * one length are consecutive in the order of their symbols.
 */
// biome-ignore format: a table
const CODE_BITS: readonly number[] = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
  28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
  6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
  5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
  7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
  15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
  6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
  20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
  24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
  22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
  21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
  26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
  19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
  20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
  26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
  30,
];
const EOS = 256;
const CODE_BITS_MAX = 30;

/** Bits of a table entry: the symbol, whether there is one, and the state after it. */
const HAS_SYMBOL = 0x100;
const STATE_SHIFT = 9;
/** More padding than seven bits, or EOS itself, is an error (section 5.2). */
const ERROR_STATE = 0x1ff;
const PADDING_BITS_MAX = 7;

interface Tables {
  /** By state and four bits of input: what follows. A state is an inner node of the code's tree. */
  readonly transitions: Uint32Array;
  /** The states in which a string may end: up to seven one bits since the last symbol. */
  readonly accepts: Uint8Array;
}

const TABLES: Tables = createTables();

/** Children of the tree's nodes: a node's number, or -1 - symbol. */
function createTree(): readonly (readonly [number, number])[] {
  const nodes: [number, number][] = [[0, 0]];
  let code = 0;
  let bits = 0;
  for (let length = 1; length <= CODE_BITS_MAX; length++) {
    for (let symbol = 0; symbol <= EOS; symbol++) {
      if (CODE_BITS[symbol] !== length) continue;
      code *= 2 ** (length - bits);
      bits = length;
      insert(nodes, code, length, symbol);
      code++;
    }
  }
  return nodes;
}

function insert(nodes: [number, number][], code: number, length: number, symbol: number): void {
  let node = nodes[0];
  for (let bit = length - 1; bit >= 0 && node !== undefined; bit--) {
    const side = Math.floor(code / 2 ** bit) % 2 === 0 ? 0 : 1;
    if (bit === 0) {
      node[side] = -1 - symbol;
      return;
    }
    let next = node[side];
    if (next === 0) {
      next = nodes.push([0, 0]) - 1;
      node[side] = next;
    }
    node = nodes[next];
  }
}

function createTables(): Tables {
  const nodes = createTree();
  const transitions = new Uint32Array(nodes.length * 16);
  const accepts = new Uint8Array(nodes.length);
  for (let state = 0; state < nodes.length; state++) {
    for (let input = 0; input < 16; input++) {
      transitions[state * 16 + input] = transition(nodes, state, input);
    }
  }
  let padding: number | undefined = 0;
  for (let bits = 0; bits <= PADDING_BITS_MAX && padding !== undefined; bits++) {
    accepts[padding] = 1;
    padding = nodes[padding]?.[1];
  }
  return { transitions, accepts };
}

/** No code is shorter than five bits: four bits end one symbol at most. */
function transition(
  nodes: readonly (readonly [number, number])[],
  state: number,
  input: number,
): number {
  let node = state;
  let symbol = -1;
  for (let bit = 3; bit >= 0; bit--) {
    const child = nodes[node]?.[(input >> bit) & 1 ? 1 : 0] ?? 0;
    if (child >= 0) node = child;
    else {
      symbol = -1 - child;
      node = 0;
    }
  }
  if (symbol === EOS) return ERROR_STATE << STATE_SHIFT;
  return (node << STATE_SHIFT) | (symbol < 0 ? 0 : HAS_SYMBOL | symbol);
}

/**
 * Decodes `bytes[start … end)` to `out`, at most `out.length` bytes. Returns the decoded length, or
 * -1 when the string is malformed, or too long.
 */
export function decodeHuffman(
  bytes: Uint8Array,
  start: number,
  end: number,
  out: Uint8Array,
): number {
  const { transitions, accepts } = TABLES;
  let state = 0;
  let length = 0;
  for (let at = start; at < end; at++) {
    const byte = bytes[at] ?? 0;
    const high = transitions[state * 16 + (byte >> 4)] ?? 0;
    if ((high & HAS_SYMBOL) !== 0) out[length++] = high & 0xff;
    state = high >> STATE_SHIFT;
    if (state === ERROR_STATE) return -1;
    const low = transitions[state * 16 + (byte & 15)] ?? 0;
    if ((low & HAS_SYMBOL) !== 0) out[length++] = low & 0xff;
    state = low >> STATE_SHIFT;
    if (state === ERROR_STATE || length > out.length) return -1;
  }
  return accepts[state] === 1 ? length : -1;
}
