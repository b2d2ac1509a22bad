// SPDX-License-Identifier: Apache-2.0
import { type Attachment, attachTo } from "./attach.ts";
import type { AttachTarget } from "./attach-target.ts";
import { type BtfValue, type CodecOptions, decodeValue } from "./codec.ts";
import { BpfError, lastLines } from "./errors.ts";
import { type FailureContext, guarded, toBpfError } from "./failure.ts";
import { MappedGlobals } from "./globals.ts";
import { Link } from "./link.ts";
import { BpfMap, MAP_TYPE } from "./map.ts";
import { preparePin } from "./mounts.ts";
import {
  type NativeLink,
  type NativeMapDescription,
  type NativeObject,
  native,
  type ProgramDescription,
  type ProgramInfo,
  type TestRunResult,
  type VariableDescription,
} from "./native.ts";
import { named, unknownName } from "./nearest.ts";
import type { ObjectTypes } from "./object-types.ts";
import { PerfReader, type PerfReaderOptions } from "./perf-reader.ts";
import { RingReader } from "./ring-reader.ts";
import { TypedMap } from "./typed-map.ts";

/** `BPF_MAP_TYPE_STRUCT_OPS` of `linux/bpf.h`. */
const STRUCT_OPS = 26;
/** Iterators run when they are read; operations are attached by their map. */
const NOT_ATTACHED_BY_ALL = /^(?:iter|struct_ops)/;

export interface ProgramStats {
  /** Nanoseconds spent in the program since statistics were enabled. */
  readonly runTimeNs: number;
  readonly runCount: number;
}

/** Input of {@link LoadedProgram.run}. */
export interface RunOptions {
  /** The packet, for programs that have one. */
  readonly data?: Uint8Array;
  /** The context: what the program gets as its argument. */
  readonly context?: Uint8Array;
  /** Runs one after the other; 1 if not given. */
  readonly repeat?: number;
  /** Room for the packet and the context as the program left them. */
  readonly dataOutBytes?: number;
  readonly contextOutBytes?: number;
  /** `BPF_F_TEST_*` of `linux/bpf.h`. */
  readonly flags?: number;
}

/** A program in the kernel. */
export class LoadedProgram {
  readonly #object: NativeObject;
  readonly #description: ProgramDescription;

  constructor(object: NativeObject, description: ProgramDescription) {
    this.#object = object;
    this.#description = description;
  }

  get name(): string {
    return this.#description.name;
  }

  get section(): string {
    return this.#description.section;
  }

  /** What the kernel knows of it, now. */
  get info(): ProgramInfo {
    const { name } = this.#description;
    return guarded({ code: "KERNEL", operation: `info of program "${name}"`, program: name }, () =>
      this.#object.programInfo(name),
    );
  }

  /** Its descriptor; it belongs to the object. */
  get fd(): number {
    const { name } = this.#description;
    return guarded({ code: "KERNEL", operation: `fd of program "${name}"`, program: name }, () =>
      this.#object.programFd(name),
    );
  }

  /**
   * Runs the program on given input, without attaching it (`BPF_PROG_TEST_RUN`): `syscall` programs
   * by their context, network programs by a packet, raw tracepoints by their arguments.
   */
  run(options: RunOptions = {}): TestRunResult {
    const { name } = this.#description;
    const { data, context, repeat = 0, dataOutBytes = 0, contextOutBytes = 0 } = options;
    const wanted = { dataOutBytes, contextOutBytes, repeat, flags: options.flags ?? 0, cpu: 0 };
    return guarded({ code: "KERNEL", operation: `run program "${name}"`, program: name }, () =>
      this.#object.testRun(name, data, context, wanted),
    );
  }

  /** Keeps the program in the kernel under a path of bpffs, after this process has ended. */
  pin(path: string): void {
    const { name } = this.#description;
    preparePin(path);
    guarded({ code: "KERNEL", operation: `pin program "${name}" at ${path}`, program: name }, () =>
      this.#object.pinProgram(name, path),
    );
  }

  /** For this package: puts this program in the place of a link's. */
  replaceIn(link: NativeLink): void {
    this.#object.updateLink(this.#description.name, link);
  }

  /** Run time and run count; they stand still unless `enableStats` is in force. */
  stats(): ProgramStats {
    const { runTimeNs, runCount } = this.info;
    return { runTimeNs, runCount };
  }
}

/**
 * An object in the kernel. It owns its links and maps: `close` detaches and closes all of them. What
 * the caller mapped (`ring`, `mapGlobal`, `BpfMap.mmap`) lives on until it is closed itself.
 *
 * Keep it for as long as its programs shall run: when it is collected, its links go too.
 */
export class LoadedObject {
  readonly #native: NativeObject;
  readonly #variables: readonly VariableDescription[];
  readonly #mapDescriptions: readonly NativeMapDescription[];
  readonly #programs: readonly ProgramDescription[];
  /** The types of the object's BTF. */
  readonly types: ObjectTypes;
  readonly #maps = new Map<string, BpfMap>();
  readonly #links = new Set<Link>();
  #isOpen = true;

  /** For this package; use {@link BpfObject.load}. */
  constructor(
    handle: NativeObject,
    parts: {
      readonly variables: readonly VariableDescription[];
      readonly maps: readonly NativeMapDescription[];
      readonly types: ObjectTypes;
    },
  ) {
    this.types = parts.types;
    this.#native = handle;
    this.#variables = parts.variables;
    this.#mapDescriptions = parts.maps;
    this.#programs = handle.programs();
  }

  /** The programs that were loaded; those with autoload off are not among them. */
  get programs(): readonly LoadedProgram[] {
    return this.#programs
      .filter((each) => each.autoload)
      .map((each) => new LoadedProgram(this.#native, each));
  }

  program(name: string): LoadedProgram {
    return new LoadedProgram(this.#native, this.#describe(name));
  }

  /**
   * Attaches a program: to what its section names (`tp_btf/…`, `raw_tp/…`, `tracepoint/…`,
   * `iter/…`), or to a given target.
   *
   * @throws BpfError `ATTACH`, `NOT_SUPPORTED`, `UNKNOWN_NAME`, `ARGUMENT`, `CLOSED`.
   */
  attach(programName: string, target: AttachTarget = {}): Link {
    const { name, section } = this.#describe(programName);
    const operation = `attach ${section} (program "${name}")`;
    return this.#keep(name, () =>
      this.#explained({ code: "ATTACH", operation, program: name }, () =>
        attachTo({ object: this.#native, program: name, section }, target),
      ),
    );
  }

  /**
   * Registers the operations of a `struct_ops` map (`SEC(".struct_ops")` or `.struct_ops.link`) with
   * the kernel, until the link is detached.
   *
   * @throws BpfError `ATTACH`, `NOT_SUPPORTED`, `UNKNOWN_NAME`, `ARGUMENT`, `CLOSED`.
   */
  attachStructOps(mapName: string): Link {
    this.#assertOpen(`map "${mapName}"`);
    const { type } = named("map", mapName, this.#mapDescriptions);
    const operation = `attach struct_ops map "${mapName}"`;
    if (type !== STRUCT_OPS) {
      throw new BpfError({ code: "ARGUMENT", message: `${operation}: it is of type ${type}.` });
    }
    return this.#keep(mapName, () => ({
      handles: [
        this.#explained({ code: "ATTACH", operation }, () => this.#native.attachStructOps(mapName)),
      ],
      rejected: [],
    }));
  }

  /** Attaches all loaded programs but iterators and struct_ops; all of them or none. */
  attachAll(): readonly Link[] {
    const links: Link[] = [];
    try {
      for (const { name, section } of this.programs) {
        if (!NOT_ATTACHED_BY_ALL.test(section)) {
          links.push(this.attach(name));
        }
      }
    } catch (cause) {
      for (const link of links) {
        link.detach();
      }
      throw cause;
    }
    return links;
  }

  /** Attaches an iterator program, runs it once, detaches it, and returns what it wrote. */
  runIterator(programName: string, target: AttachTarget = {}): Uint8Array {
    const link = this.attach(programName, target);
    try {
      return link.readIter();
    } finally {
      link.detach();
    }
  }

  /**
   * Runs an iterator program that writes structs (`bpf_seq_write`), and returns them as objects.
   *
   * @param typeName The struct as the program names it.
   */
  iteratorRecords(
    programName: string,
    typeName: string,
    target: AttachTarget = {},
  ): readonly BtfValue[] {
    const layout = this.types.layoutNamed(typeName);
    const bytes = this.runIterator(programName, target);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const count = layout.bytes === 0 ? 0 : Math.floor(bytes.length / layout.bytes);
    return Array.from({ length: count }, (_, index) =>
      decodeValue(layout, view, index * layout.bytes),
    );
  }

  /** A map by the name it has in the BPF program. The same object at each call. */
  map(name: string): BpfMap {
    const known = this.#maps.get(name);
    if (known !== undefined) {
      return known;
    }
    this.#mapDescription(name);
    const map = guarded({ code: "MAP", operation: `open map "${name}"` }, () =>
      BpfMap.fromNative(this.#native.map(name)),
    );
    this.#maps.set(name, map);
    return map;
  }

  /**
   * A map by plain objects, of the types that the program declares. `Key` and `Value` are what
   * `libbpf-ts generate` writes.
   *
   * @throws BpfError `ARGUMENT` for a map that declares sizes and no types.
   */
  typedMap<Key = BtfValue, Value = BtfValue>(
    name: string,
    options: CodecOptions = {},
  ): TypedMap<Key, Value> {
    const raw = this.map(name);
    const { keyTypeId, valueTypeId } = this.#mapDescription(name);
    if (valueTypeId === 0 || (keyTypeId === 0 && raw.keySize > 0)) {
      throw new BpfError({
        code: "ARGUMENT",
        message: `map "${name}": it declares sizes only. Declare __type(key, …) and __type(value, …).`,
      });
    }
    const key = this.types.layout(keyTypeId);
    const value = this.types.layout(valueTypeId);
    return new TypedMap(raw, { ...options, key, value });
  }

  /** Maps a ring buffer into JavaScript; the caller closes it. */
  ring(mapName: string): RingReader {
    return RingReader.open(this.map(mapName));
  }

  /** Opens the buffers behind a perf event array; the caller closes them. */
  perf(mapName: string, options: PerfReaderOptions = {}): PerfReader {
    return PerfReader.open(this.map(mapName), options);
  }

  /**
   * Maps a section of global variables; `.bss` and `.data` are writable, `.rodata` is not.
   *
   * @param section As in the ELF file: `.bss`, `.data`, `.rodata`, `.data.name`.
   */
  mapGlobal(section: string): MappedGlobals {
    const description = this.#mapDescriptions.find((each) => each.section === section);
    if (description === undefined) {
      const names = this.#mapDescriptions.flatMap((each) => each.section ?? []);
      throw unknownName("section", section, names);
    }
    const map = guarded({ code: "MAP", operation: `open section ${section}` }, () =>
      BpfMap.fromNative(this.#native.map(description.name)),
    );
    try {
      const isWritable = map.type === MAP_TYPE.array && !section.startsWith(".rodata");
      const memory = map.mmap({ writable: isWritable });
      const variables = this.#variables.filter((each) => each.section === section);
      return new MappedGlobals({ memory, variables, isWritable, types: this.types });
    } finally {
      map.close();
    }
  }

  /** Detaches all links, closes all maps, unloads. A second call does nothing. */
  close(): void {
    if (!this.#isOpen) {
      return;
    }
    this.#isOpen = false;
    for (const link of [...this.#links]) {
      link.detach();
    }
    for (const map of this.#maps.values()) {
      map.close();
    }
    this.#links.clear();
    this.#maps.clear();
    this.#native.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #mapDescription(name: string): NativeMapDescription {
    const declared = this.#mapDescriptions.filter((each) => each.section === undefined);
    return named("map", name, this.#mapDescriptions, declared);
  }

  #describe(name: string): ProgramDescription {
    this.#assertOpen(`program "${name}"`);
    return named("program", name, this.#programs);
  }

  #assertOpen(what: string): void {
    if (!this.#isOpen) {
      throw new BpfError({
        code: "CLOSED",
        message: `${what}: the object is closed. Load it again before use.`,
      });
    }
  }

  #keep(owner: string, attach: () => Attachment): Link {
    const { handles, rejected } = attach();
    const onDetach = (detached: Link): void => {
      this.#links.delete(detached);
    };
    const link = new Link({ handles, program: owner, rejected, onDetach });
    this.#links.add(link);
    return link;
  }

  /** Gives errors their type, and the last of what libbpf said. */
  #explained<T>(context: FailureContext, call: () => T): T {
    try {
      return call();
    } catch (cause) {
      if (cause instanceof BpfError) {
        throw cause;
      }
      const log = native.takeLog();
      const error = toBpfError({ ...context, log }, cause);
      const said = lastLines(log, 1)[0] ?? "";
      error.message = said === "" ? error.message : `${error.message}\n  ${said}`;
      throw error;
    }
  }
}
