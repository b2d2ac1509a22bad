// SPDX-License-Identifier: Apache-2.0
import { WIRE_BYTES, WIRE_FIXED32, WIRE_FIXED64, WIRE_VARINT } from "./wire.ts";

/**
 * The OTLP messages as tables, in the order of opentelemetry-proto 1.x. They drive the
 * validation of protobuf bodies and the conversion from and to OTLP/JSON.
 */
export type ScalarType =
  | "string"
  | "bytes"
  | "traceId"
  | "spanId"
  | "bool"
  | "double"
  | "int32"
  | "sint32"
  | "uint32"
  | "int64"
  | "uint64"
  | "fixed32"
  | "fixed64"
  | "sfixed64"
  | "enum";

export interface Field {
  readonly number: number;
  /** lowerCamelCase, as in OTLP/JSON. */
  readonly name: string;
  /** As in the .proto file; accepted in JSON, too. */
  readonly protoName: string;
  readonly type: ScalarType | "message";
  readonly repeated: boolean;
  /** Member of a oneof or `optional`: written even when it holds the type's default. */
  readonly presence: boolean;
  /** Name in `MESSAGES` of a field of type message. */
  readonly message: string;
  /** For enums: value by name, accepted when JSON is read. */
  readonly values: Readonly<Record<string, number>>;
}

export interface Message {
  readonly name: string;
  /** In declaration order, which is the order in JSON. */
  readonly fields: readonly Field[];
  /** By field number. */
  readonly byNumber: readonly (Field | undefined)[];
}

const SCALARS: ReadonlySet<string> = new Set(
  [
    "string bytes traceId spanId bool double int32 sint32".split(" "),
    "uint32 int64 uint64 fixed32 fixed64 sfixed64 enum".split(" "),
  ].flat(),
);

const SPAN_KINDS = "UNSPECIFIED INTERNAL SERVER CLIENT PRODUCER CONSUMER".split(" ");
const TEMPORALITIES = "UNSPECIFIED DELTA CUMULATIVE".split(" ");
const SEVERITIES = ["UNSPECIFIED"].concat(
  ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"].flatMap((name) => [
    name,
    `${name}2`,
    `${name}3`,
    `${name}4`,
  ]),
);

function numbered(prefix: string, names: readonly string[]): Record<string, number> {
  return Object.fromEntries(names.map((name, index) => [prefix + name, index]));
}

const ENUMS: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  "Span.kind": numbered("SPAN_KIND_", SPAN_KINDS),
  "Status.code": numbered("STATUS_CODE_", ["UNSET", "OK", "ERROR"]),
  "LogRecord.severity_number": numbered("SEVERITY_NUMBER_", SEVERITIES),
  aggregation_temporality: numbered("AGGREGATION_TEMPORALITY_", TEMPORALITIES),
};

/** `number name type`, with `*` for repeated and `?` for a field with presence. */
const SOURCE: Readonly<Record<string, string>> = {
  ExportTraceServiceRequest: "1 resource_spans ResourceSpans*",
  ResourceSpans: "1 resource Resource, 2 scope_spans ScopeSpans*, 3 schema_url string",
  ScopeSpans: "1 scope InstrumentationScope, 2 spans Span*, 3 schema_url string",
  Span:
    "1 trace_id traceId, 2 span_id spanId, 3 trace_state string, 4 parent_span_id spanId, " +
    "16 flags fixed32, 5 name string, 6 kind enum, 7 start_time_unix_nano fixed64, " +
    "8 end_time_unix_nano fixed64, 9 attributes KeyValue*, 10 dropped_attributes_count uint32, " +
    "11 events Event*, 12 dropped_events_count uint32, 13 links Link*, " +
    "14 dropped_links_count uint32, 15 status Status",
  Event:
    "1 time_unix_nano fixed64, 2 name string, 3 attributes KeyValue*, " +
    "4 dropped_attributes_count uint32",
  Link:
    "1 trace_id traceId, 2 span_id spanId, 3 trace_state string, 4 attributes KeyValue*, " +
    "5 dropped_attributes_count uint32, 6 flags fixed32",
  Status: "2 message string, 3 code enum",

  ExportMetricsServiceRequest: "1 resource_metrics ResourceMetrics*",
  ResourceMetrics: "1 resource Resource, 2 scope_metrics ScopeMetrics*, 3 schema_url string",
  ScopeMetrics: "1 scope InstrumentationScope, 2 metrics Metric*, 3 schema_url string",
  Metric:
    "1 name string, 2 description string, 3 unit string, 5 gauge Gauge?, 7 sum Sum?, " +
    "9 histogram Histogram?, 10 exponential_histogram ExponentialHistogram?, " +
    "11 summary Summary?, 12 metadata KeyValue*",
  Gauge: "1 data_points NumberDataPoint*",
  Sum: "1 data_points NumberDataPoint*, 2 aggregation_temporality enum, 3 is_monotonic bool",
  Histogram: "1 data_points HistogramDataPoint*, 2 aggregation_temporality enum",
  ExponentialHistogram:
    "1 data_points ExponentialHistogramDataPoint*, 2 aggregation_temporality enum",
  Summary: "1 data_points SummaryDataPoint*",
  NumberDataPoint:
    "7 attributes KeyValue*, 2 start_time_unix_nano fixed64, 3 time_unix_nano fixed64, " +
    "4 as_double double?, 6 as_int sfixed64?, 5 exemplars Exemplar*, 8 flags uint32",
  HistogramDataPoint:
    "9 attributes KeyValue*, 2 start_time_unix_nano fixed64, 3 time_unix_nano fixed64, " +
    "4 count fixed64, 5 sum double?, 6 bucket_counts fixed64*, 7 explicit_bounds double*, " +
    "8 exemplars Exemplar*, 10 flags uint32, 11 min double?, 12 max double?",
  ExponentialHistogramDataPoint:
    "1 attributes KeyValue*, 2 start_time_unix_nano fixed64, 3 time_unix_nano fixed64, " +
    "4 count fixed64, 5 sum double?, 6 scale sint32, 7 zero_count fixed64, 8 positive Buckets, " +
    "9 negative Buckets, 10 flags uint32, 11 exemplars Exemplar*, 12 min double?, " +
    "13 max double?, 14 zero_threshold double",
  Buckets: "1 offset sint32, 2 bucket_counts uint64*",
  SummaryDataPoint:
    "7 attributes KeyValue*, 2 start_time_unix_nano fixed64, 3 time_unix_nano fixed64, " +
    "4 count fixed64, 5 sum double, 6 quantile_values ValueAtQuantile*, 8 flags uint32",
  ValueAtQuantile: "1 quantile double, 2 value double",
  Exemplar:
    "7 filtered_attributes KeyValue*, 2 time_unix_nano fixed64, 3 as_double double?, " +
    "6 as_int sfixed64?, 4 span_id spanId, 5 trace_id traceId",

  ExportLogsServiceRequest: "1 resource_logs ResourceLogs*",
  ResourceLogs: "1 resource Resource, 2 scope_logs ScopeLogs*, 3 schema_url string",
  ScopeLogs: "1 scope InstrumentationScope, 2 log_records LogRecord*, 3 schema_url string",
  LogRecord:
    "1 time_unix_nano fixed64, 11 observed_time_unix_nano fixed64, 2 severity_number enum, " +
    "3 severity_text string, 5 body AnyValue, 6 attributes KeyValue*, " +
    "7 dropped_attributes_count uint32, 8 flags fixed32, 9 trace_id traceId, " +
    "10 span_id spanId, 12 event_name string",

  Resource: "1 attributes KeyValue*, 2 dropped_attributes_count uint32, 3 entity_refs EntityRef*",
  EntityRef: "1 schema_url string, 2 type string, 3 id_keys string*, 4 description_keys string*",
  InstrumentationScope:
    "1 name string, 2 version string, 3 attributes KeyValue*, 4 dropped_attributes_count uint32",
  KeyValue: "1 key string, 2 value AnyValue",
  AnyValue:
    "1 string_value string?, 2 bool_value bool?, 3 int_value int64?, 4 double_value double?, " +
    "5 array_value ArrayValue?, 6 kvlist_value KeyValueList?, 7 bytes_value bytes?",
  ArrayValue: "1 values AnyValue*",
  KeyValueList: "1 values KeyValue*",

  ExportTraceServiceResponse: "1 partial_success TracePartialSuccess",
  TracePartialSuccess: "1 rejected_spans int64, 2 error_message string",
  ExportMetricsServiceResponse: "1 partial_success MetricsPartialSuccess",
  MetricsPartialSuccess: "1 rejected_data_points int64, 2 error_message string",
  ExportLogsServiceResponse: "1 partial_success LogsPartialSuccess",
  LogsPartialSuccess: "1 rejected_log_records int64, 2 error_message string",
};

function camelCase(name: string): string {
  return name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function isScalar(type: string): type is ScalarType {
  return SCALARS.has(type);
}

function parseField(owner: string, text: string): Field {
  const [number = "", protoName = "", typeText = ""] = text.trim().split(" ");
  const type = typeText.replace(/[*?]$/, "");
  return {
    number: Number(number),
    name: camelCase(protoName),
    protoName,
    type: isScalar(type) ? type : "message",
    repeated: typeText.endsWith("*"),
    presence: typeText.endsWith("?"),
    message: isScalar(type) ? "" : type,
    values: ENUMS[`${owner}.${protoName}`] ?? ENUMS[protoName] ?? {},
  };
}

function parseMessage(name: string, source: string): Message {
  const fields = source.split(",").map((text) => parseField(name, text));
  const byNumber: (Field | undefined)[] = [];
  for (const field of fields) byNumber[field.number] = field;
  return { name, fields, byNumber };
}

export const MESSAGES: ReadonlyMap<string, Message> = new Map(
  Object.entries(SOURCE).map(([name, source]) => [name, parseMessage(name, source)]),
);

/** The table of a message that is known to exist. */
export function messageNamed(name: string): Message {
  const message = MESSAGES.get(name);
  if (message === undefined) throw new TypeError(`no OTLP message ${name}`);
  return message;
}

/** The wire type of one value of the field. */
export function wireTypeOf(field: Field): number {
  switch (field.type) {
    case "message":
    case "string":
    case "bytes":
    case "traceId":
    case "spanId":
      return WIRE_BYTES;
    case "double":
    case "fixed64":
    case "sfixed64":
      return WIRE_FIXED64;
    case "fixed32":
      return WIRE_FIXED32;
    default:
      return WIRE_VARINT;
  }
}
