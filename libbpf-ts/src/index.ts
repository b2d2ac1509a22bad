// SPDX-License-Identifier: Apache-2.0
export * from "./attach-target.ts";
export { Btf, type BtfMember, type BtfType } from "./btf.ts";
export type { Capabilities } from "./capabilities.ts";
export {
  type BtfValue,
  type CodecOptions,
  decodeValue,
  encodeValue,
  readBits,
  readBytes,
  readText,
} from "./codec.ts";
export { type OwnedDescriptor, pidDescriptor } from "./descriptors.ts";
export { formatReport, isUsable } from "./doctor.ts";
export { ElfFile, type ElfSection, type ElfSegment, type ElfSymbol } from "./elf.ts";
export { BpfError, type BpfErrorCode, NotSupportedError } from "./errors.ts";
export { type FeatureReport, probeAll } from "./features.ts";
export {
  buildIdOf,
  demangle,
  FunctionIndex,
  type FunctionOffset,
  functionOffset,
} from "./function-offsets.ts";
export { type GenerateOptions, generateTypes } from "./generate.ts";
export { type GlobalValue, InitialGlobals, MappedGlobals } from "./globals.ts";
export { type GoFunction, GoFunctionTable, type GoLine } from "./go-pclntab.ts";
export { BTF_KIND, hasTracepoint, KernelBtf } from "./kernel-btf.ts";
export {
  type ArrayLayout,
  type EnumLayout,
  type FieldLayout,
  type Layout,
  layoutOf,
  type RecordLayout,
} from "./layout.ts";
export { Link } from "./link.ts";
export {
  LoadedObject,
  LoadedProgram,
  type ProgramStats,
  type RunOptions,
} from "./loaded-object.ts";
export { BpfMap, MAP_FLAG, MAP_TYPE, type MapCreateOptions, UPDATE_FLAG } from "./map.ts";
export { MappedMemory } from "./mapped-memory.ts";
export { ensureBpffs, ensureTracefs, hasBpffs, hasTracefs } from "./mounts.ts";
export type {
  LinkInfo,
  ProgramDescription,
  ProgramInfo,
  TestRunResult,
  VariableDescription,
} from "./native.ts";
export {
  NETLINK_RECEIVE_BYTES_MIN,
  type NetlinkOptions,
  type NetlinkReceived,
  NetlinkSocket,
} from "./netlink.ts";
export {
  BpfObject,
  type OpenOptions,
  openObject,
} from "./object.ts";
export { ObjectTypes } from "./object-types.ts";
export { PerfMap, type PerfMapEntry } from "./perf-map.ts";
export { PerfReader, type PerfReaderOptions } from "./perf-reader.ts";
export {
  type KernelReport,
  type ProbeResult,
  probe,
  probeHelper,
  probeMapType,
  probeProgramType,
} from "./probe.ts";
export {
  type DecodeRecord,
  type Pump,
  type PumpOptions,
  type RecordReader,
  type RecordsOptions,
  recordsOf,
  startPump,
} from "./pump.ts";
export { type OnRecord, RingReader } from "./ring-reader.ts";
export { enableStats, StatsHandle } from "./stats.ts";
export {
  type InlinedFrame,
  type SymbolFrame,
  type SymbolizeOptions,
  Symbolizer,
  type SymbolizerOptions,
} from "./symbolizer.ts";
export { TypedMap, type TypedMapOptions } from "./typed-map.ts";
export { UnloadedMap, UnloadedProgram } from "./unloaded.ts";
export type { RejectedTarget } from "./uprobe-multi.ts";
