// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { HTTP1 } from "../http1/protocol.ts";
import { Conversation, type SeenExchange, TEST_OPTIONS } from "../testing.ts";

interface Asked {
  readonly line: string;
  readonly fields?: string;
  readonly response?: string;
  readonly host?: string;
}

function asClient(asked: Asked): SeenExchange {
  const host = asked.host ?? "search:9200";
  const head = `${asked.line} HTTP/1.1\r\nHost: ${host}\r\n${asked.fields ?? ""}\r\n`;
  const talk = new Conversation(HTTP1, { ...TEST_OPTIONS }).sent(head);
  talk.received(`HTTP/1.1 ${asked.response ?? "200 OK"}\r\nContent-Length: 0\r\n\r\n`);
  const [seen] = talk.observed.ended;
  assert.ok(seen !== undefined);
  return seen;
}

const PRODUCT = "200 OK\r\nX-Elastic-Product: Elasticsearch";

// https://opentelemetry.io/docs/specs/semconv/db/elasticsearch/
describe("Elasticsearch and OpenSearch", () => {
  it("describes a search by the conventions", () => {
    const seen = asClient({ line: "POST /my-index/_search?q=secret", response: PRODUCT });
    assert.equal(seen.name, "search my-index");
    assert.deepEqual(seen.attributes, {
      "db.system.name": "elasticsearch",
      "db.operation.name": "search",
      "db.collection.name": "my-index",
      "db.response.status_code": "200",
      "http.request.method": "POST",
      "server.address": "search",
      "server.port": 9200,
      "url.full": "http://search:9200/my-index/_search",
      "http.response.body.size": 0,
    });
    assert.equal(seen.metric["instrument"], "db.client.operation.duration");
  });

  // Endpoint identifiers of Elasticsearch's API specification.
  const operations: readonly (readonly [string, string])[] = [
    ["GET /_cat/indices", "cat.indices"],
    ["GET /_cluster/health", "cluster.health"],
    ["POST /_bulk", "bulk"],
    ["PUT /books/_doc/1", "index books"],
    ["GET /books/_doc/1", "get books"],
    ["HEAD /books/_doc/1", "exists books"],
    ["DELETE /books/_doc/1", "delete books"],
    ["POST /books/_update/1", "update books"],
    ["PUT /books", "indices.create books"],
    ["DELETE /books", "indices.delete books"],
    ["POST /books,films/_count", "count books,films"],
    ["GET /", "info"],
    ["POST /_search/scroll", "scroll"],
  ];
  for (const [line, name] of operations) {
    it(`calls ${line} ${name}`, () =>
      assert.equal(asClient({ line, response: PRODUCT }).name, name));
  }

  it("knows OpenSearch by its clients, and nothing by a path alone", () => {
    const line = "POST /logs/_search";
    const seen = asClient({ line, fields: "User-Agent: opensearch-js/3.5.1\r\n" });
    assert.equal(seen.attributes["db.system.name"], "opensearch");
    assert.equal(asClient({ line }).attributes["http.request.method"], "POST");
    assert.equal(asClient({ line }).attributes["db.system.name"], undefined);
  });

  it("leaves to HTTP what is no path of the API", () => {
    const seen = asClient({ line: "GET /a/b/c/d/e/f", response: PRODUCT });
    assert.equal(seen.attributes["db.system.name"], undefined);
    assert.equal(seen.name, "GET");
  });

  it("calls 4xx an error", () => {
    const response = PRODUCT.replace("200 OK", "404 Not Found");
    const seen = asClient({ line: "GET /books/_doc/9", response });
    assert.equal(seen.attributes["error.type"], "404");
    assert.equal(seen.error, "");
  });
});

function signed(service: string): string {
  return `Authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261122/eu-west-1/${service}/aws4_request, SignedHeaders=host, Signature=abc\r\n`;
}

// https://opentelemetry.io/docs/specs/semconv/cloud-providers/aws-sdk/
describe("AWS", () => {
  it("describes a call to S3, without the credential", () => {
    const response = "200 OK\r\nx-amz-request-id: C9ER4AJX75574TDJ";
    const fields = signed("s3");
    const seen = asClient({ line: "GET /photos/cat.jpg", fields, response, host: "s3:9000" });
    assert.equal(seen.name, "S3.GetObject");
    assert.deepEqual(seen.attributes, {
      "rpc.system.name": "aws-api",
      "rpc.method": "S3/GetObject",
      "http.response.status_code": 200,
      "server.address": "s3",
      "server.port": 9000,
      "cloud.region": "eu-west-1",
      "aws.request_id": "C9ER4AJX75574TDJ",
      "aws.s3.bucket": "photos",
    });
    assert.equal(seen.metric["instrument"], "rpc.client.call.duration");
    assert.ok(!JSON.stringify(seen).includes("AKIDEXAMPLE"));
  });

  // Requests of the S3 API reference.
  const operations: readonly (readonly [string, string, string])[] = [
    ["GET /", "s3.eu-west-1.amazonaws.com", "S3.ListBuckets"],
    ["GET /?list-type=2&prefix=a", "photos.s3.eu-west-1.amazonaws.com", "S3.ListObjectsV2"],
    ["PUT /cat.jpg", "photos.s3.amazonaws.com", "S3.PutObject"],
    ["PUT /cat.jpg?partNumber=1&uploadId=x", "photos.s3.amazonaws.com", "S3.UploadPart"],
    ["POST /photos/cat.jpg?uploads", "s3:9000", "S3.CreateMultipartUpload"],
    ["POST /photos?delete", "s3:9000", "S3.DeleteObjects"],
    ["DELETE /photos/cat.jpg", "s3:9000", "S3.DeleteObject"],
    ["HEAD /photos", "s3:9000", "S3.HeadBucket"],
  ];
  for (const [line, host, name] of operations) {
    it(`calls ${line} at ${host} ${name}`, () => {
      assert.equal(asClient({ line, host, fields: signed("s3") }).name, name);
    });
  }

  it("reads the operation of the JSON protocols", () => {
    const sqs = `${signed("sqs")}X-Amz-Target: AmazonSQS.SendMessage\r\n`;
    assert.equal(asClient({ line: "POST /", fields: sqs }).name, "SQS.SendMessage");
    const dynamo = `${signed("dynamodb")}X-Amz-Target: DynamoDB_20120810.GetItem\r\n`;
    assert.equal(asClient({ line: "POST /", fields: dynamo }).name, "DynamoDB.GetItem");
  });

  it("leaves to HTTP what names no operation in its head, and other credentials", () => {
    assert.equal(asClient({ line: "POST /", fields: signed("sqs") }).name, "POST");
    const basic = asClient({ line: "GET /photos/a", fields: "Authorization: Basic YTpi\r\n" });
    assert.equal(basic.name, "GET");
  });
});

describe("gRPC-Web over HTTP/1.1", () => {
  it("counts messages and reads the status in the body", () => {
    const talk = new Conversation(HTTP1, { ...TEST_OPTIONS });
    const fields =
      "Host: shop\r\nContent-Type: application/grpc-web+proto\r\nContent-Length: 7\r\n";
    talk.received(`POST /shop.Prices/Get HTTP/1.1\r\n${fields}\r\n\0\0\0\0\x02hi`);
    const body = "\0\0\0\0\x01a\x80\0\0\0\x10grpc-status: 5\r\n";
    const chunks = `6\r\n${body.slice(0, 6)}\r\n15\r\n${body.slice(6)}\r\n0\r\n\r\n`;
    talk.sent(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}`);
    const [seen] = talk.observed.ended;
    assert.equal(seen?.name, "shop.Prices/Get");
    assert.equal(seen?.attributes["rpc.system.name"], "grpc");
    assert.equal(seen?.attributes["rpc.status_code"], "NOT_FOUND");
    assert.equal(seen?.attributes["rpc.request.message_count"], 1);
    assert.equal(seen?.attributes["rpc.response.message_count"], 1);
  });
});
