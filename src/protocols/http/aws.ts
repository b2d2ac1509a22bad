// SPDX-License-Identifier: Apache-2.0
import {
  ATTR_ERROR_TYPE,
  ATTR_HTTP_RESPONSE_STATUS_CODE,
  ATTR_RPC_METHOD,
  ATTR_RPC_SYSTEM_NAME,
  METRIC_RPC_CLIENT_CALL_DURATION,
  METRIC_RPC_SERVER_CALL_DURATION,
} from "@opentelemetry/semantic-conventions";
import {
  ATTR_AWS_REQUEST_ID,
  ATTR_AWS_S3_BUCKET,
  ATTR_CLOUD_REGION,
} from "@opentelemetry/semantic-conventions/incubating";
import {
  type AttributeSink,
  attributeKey,
  type MeasurementSink,
  type SpanSink,
} from "../../model/attribute.ts";
import { describeAuthority } from "./describe-authority.ts";
import type { HttpExchange } from "./exchange.ts";
import { METHOD_NAMES } from "./methods.ts";
import type { Operation, OperationTable } from "./operation.ts";
import type { Summary } from "./span.ts";

/** https://opentelemetry.io/docs/specs/semconv/cloud-providers/aws-sdk/ */
const AWS_API = "aws-api";

const KEYS = {
  system: attributeKey(ATTR_RPC_SYSTEM_NAME),
  method: attributeKey(ATTR_RPC_METHOD),
  status: attributeKey(ATTR_HTTP_RESPONSE_STATUS_CODE),
  errorType: attributeKey(ATTR_ERROR_TYPE),
  requestId: attributeKey(ATTR_AWS_REQUEST_ID),
  region: attributeKey(ATTR_CLOUD_REGION),
  bucket: attributeKey(ATTR_AWS_S3_BUCKET),
} as const;

/**
 * AWS Signature Version 4: `AWS4-HMAC-SHA256 Credential=KEY/DATE/REGION/SERVICE/aws4_request, …`.
 * The key is not read.
 */
const CREDENTIAL =
  /^AWS4-[A-Z0-9-]+ Credential=[^/,]+\/\d{8}\/([a-z0-9-]{0,32})\/([a-z0-9-]{1,32})\/aws4_request,/;
/** A service's version and an operation, such as `DynamoDB_20120810.GetItem`. */
const TARGET = /^[A-Za-z0-9_]{1,64}\.([A-Za-z]{1,64})$/;
const REQUEST_ID = /^[A-Za-z0-9-]{8,64}$/;
const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;
/** Before the bucket's host name ends and the service's begins. */
const BUCKET_HOST = /^(.+?)\.s3[.-]/;
const VALUE_BYTES_MAX = 256;

const SERVICE_NAMES: ReadonlyMap<string, string> = new Map([
  ["s3", "S3"],
  ["sqs", "SQS"],
  ["sns", "SNS"],
  ["dynamodb", "DynamoDB"],
  ["kinesis", "Kinesis"],
  ["kms", "KMS"],
  ["sts", "STS"],
  ["secretsmanager", "SecretsManager"],
  ["states", "SFN"],
  ["logs", "CloudWatchLogs"],
  ["events", "EventBridge"],
  ["ssm", "SSM"],
]);

/** What the head of a signed request says; strings are made for such requests only. */
export class AwsRequest {
  /** As in the signature's scope, `s3` for instance; empty for a request that is not signed so. */
  service = "";
  region = "";
  /** The operation that X-Amz-Target names. */
  target = "";
  requestId = "";

  reset(): void {
    this.service = "";
    this.region = "";
    this.target = "";
    this.requestId = "";
  }

  authorization(bytes: Uint8Array, start: number, end: number): void {
    // Any other scheme's credentials do not become a string.
    if (bytes[start] !== 65 || bytes[start + 1] !== 87 || bytes[start + 2] !== 83) return;
    const found = CREDENTIAL.exec(textOf(bytes, start, end));
    if (found === null) return;
    this.region = found[1] ?? "";
    this.service = found[2] ?? "";
  }

  amzTarget(bytes: Uint8Array, start: number, end: number): void {
    this.target = TARGET.exec(textOf(bytes, start, end))?.[1] ?? "";
  }

  amzRequestId(bytes: Uint8Array, start: number, end: number): void {
    const text = textOf(bytes, start, end);
    if (REQUEST_ID.test(text)) this.requestId = text;
  }
}

function textOf(bytes: Uint8Array, start: number, end: number): string {
  const cut = Math.min(end, start + VALUE_BYTES_MAX);
  return new TextDecoder("latin1").decode(bytes.subarray(start, cut));
}

/** Undefined when the operation is not in the head: it may be in the body. */
export function awsOperation(
  exchange: HttpExchange,
  operations: OperationTable,
): Operation | undefined {
  const { service, target } = exchange.aws;
  const operation = service === "s3" ? s3Operation(exchange) : target;
  if (operation === "") return undefined;
  const name = SERVICE_NAMES.get(service) ?? service;
  return operations.byName(`${name}/${operation}`, "", `${name}.${operation}`);
}

interface S3Place {
  readonly bucket: string;
  readonly hasKey: boolean;
}

function s3Place(exchange: HttpExchange): S3Place {
  const { target, pathStart, pathEnd, authority } = exchange;
  const path = new TextDecoder("latin1").decode(target.subarray(pathStart, pathEnd));
  const hosted = BUCKET_HOST.exec(authority?.address ?? "")?.[1];
  if (hosted !== undefined) return { bucket: hosted, hasKey: path.length > 1 };
  const slash = path.indexOf("/", 1);
  const bucket = path.slice(1, slash < 0 ? path.length : slash);
  return { bucket, hasKey: slash > 0 && slash < path.length - 1 };
}

/** Operations by method, `object` or `bucket`, and the query's parameter that selects it. */
const S3_OPERATIONS: ReadonlyMap<string, string> = new Map([
  ["GET object", "GetObject"],
  ["GET object uploadId", "ListParts"],
  ["GET object tagging", "GetObjectTagging"],
  ["GET object acl", "GetObjectAcl"],
  ["HEAD object", "HeadObject"],
  ["PUT object", "PutObject"],
  ["PUT object uploadId", "UploadPart"],
  ["PUT object tagging", "PutObjectTagging"],
  ["PUT object acl", "PutObjectAcl"],
  ["POST object uploads", "CreateMultipartUpload"],
  ["POST object uploadId", "CompleteMultipartUpload"],
  ["DELETE object", "DeleteObject"],
  ["DELETE object uploadId", "AbortMultipartUpload"],
  ["DELETE object tagging", "DeleteObjectTagging"],
  ["GET bucket", "ListObjects"],
  ["GET bucket list-type", "ListObjectsV2"],
  ["GET bucket location", "GetBucketLocation"],
  ["GET bucket uploads", "ListMultipartUploads"],
  ["GET bucket versions", "ListObjectVersions"],
  ["GET bucket versioning", "GetBucketVersioning"],
  ["GET bucket policy", "GetBucketPolicy"],
  ["HEAD bucket", "HeadBucket"],
  ["PUT bucket", "CreateBucket"],
  ["DELETE bucket", "DeleteBucket"],
  ["POST bucket delete", "DeleteObjects"],
  ["GET service", "ListBuckets"],
]);

const S3_SELECTORS: readonly string[] = [
  ...["uploadId", "uploads", "tagging", "acl", "list-type", "location", "versions", "versioning"],
  ...["policy", "delete"],
];
/** Parameters that select an operation that is not in the table. */
const S3_OTHER =
  /^(lifecycle|cors|website|notification|replication|encryption|logging|torrent|restore|select|attributes|legal-hold|retention|object-lock|analytics|inventory|metrics|requestPayment|accelerate|publicAccessBlock|ownershipControls|policyStatus|intelligent-tiering)$/;

function s3Operation(exchange: HttpExchange): string {
  const { target, queryStart, targetEnd, methodIndex } = exchange;
  const place = s3Place(exchange);
  const query = new TextDecoder("latin1").decode(target.subarray(queryStart, targetEnd));
  const names = query.split("&").map((parameter) => parameter.split("=", 1)[0] ?? "");
  if (names.some((name) => S3_OTHER.test(name))) return "";
  const selector = S3_SELECTORS.find((name) => names.includes(name));
  const what = place.bucket === "" ? "service" : place.hasKey ? "object" : "bucket";
  const key = `${METHOD_NAMES[methodIndex] ?? ""} ${what}`;
  return S3_OPERATIONS.get(selector === undefined ? key : `${key} ${selector}`) ?? "";
}

/** By https://opentelemetry.io/docs/specs/semconv/cloud-providers/aws-sdk/ */
export function describeAws(summary: Summary, sink: SpanSink): void {
  sink.name(summary.operation?.spanName ?? AWS_API);
  describeCall(summary, sink);
  if (errorOf(summary) !== "") sink.error("");
}

export function measureAws(summary: Summary, sink: MeasurementSink): void {
  const server = summary.role === "server";
  sink.instrument(server ? METRIC_RPC_SERVER_CALL_DURATION : METRIC_RPC_CLIENT_CALL_DURATION);
  describeCall(summary, sink);
}

export function describeAwsDetails(exchange: HttpExchange, sink: SpanSink): void {
  const { aws } = exchange;
  if (aws.region !== "") sink.string(KEYS.region, aws.region);
  if (aws.requestId !== "") sink.string(KEYS.requestId, aws.requestId);
  if (aws.service !== "s3") return;
  const { bucket } = s3Place(exchange);
  if (BUCKET.test(bucket)) sink.string(KEYS.bucket, bucket);
}

function describeCall(summary: Summary, sink: AttributeSink): void {
  sink.string(KEYS.system, AWS_API);
  if (summary.operation !== undefined) sink.string(KEYS.method, summary.operation.name);
  if (summary.status > 0) sink.int(KEYS.status, summary.status);
  const error = errorOf(summary);
  if (error !== "") sink.string(KEYS.errorType, error);
  describeAuthority(summary, sink);
}

function errorOf(summary: Summary): string {
  if (summary.failure !== "") return summary.failure;
  return summary.status >= (summary.role === "server" ? 500 : 400) ? String(summary.status) : "";
}
