// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { z } from "zod";
import { POSTGRESQL } from "../../src/protocols/postgresql/protocol.ts";
import { POSTGRESQL_DIALECT } from "../../src/protocols/sql/dialects.ts";
import { maskSql } from "../../src/protocols/sql/mask.ts";
import { summarizeSql } from "../../src/protocols/sql/sql.ts";
import { Conversation } from "../../src/protocols/testing.ts";
import { PostgresqlMasker } from "./redaction-postgresql.ts";

const FOLDER = new URL("../../src/protocols/postgresql/goldens/", import.meta.url);
const goldenSchema = z.looseObject({
  title: z.string(),
  records: z.array(z.object({ from: z.enum(["client", "server"]), text: z.string() })),
});

function int32(value: number): string {
  return String.fromCharCode(value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255);
}

function message(type: string, body: string): string {
  return type + int32(body.length + 4) + body;
}

function masked(masker: PostgresqlMasker, text: string): string {
  const bytes = Buffer.from(text, "latin1");
  masker.mask(bytes, { isGap: false, unseen: 0 });
  return bytes.toString("latin1");
}

describe("redacted PostgreSQL", () => {
  for (const file of readdirSync(FOLDER)) {
    const { title, records } = goldenSchema.parse(
      JSON.parse(readFileSync(new URL(file, FOLDER), "utf8")),
    );
    it(`gives the same spans: ${title}`, () => {
      const [plain, redacted] = [new Conversation(POSTGRESQL), new Conversation(POSTGRESQL)];
      const maskers = { client: new PostgresqlMasker(), server: new PostgresqlMasker() };
      for (const { from, text } of records) {
        const left = masked(maskers[from], text);
        assert.equal(left.length, text.length);
        if (from === "client") {
          plain.sent(text);
          redacted.sent(left);
        } else {
          plain.received(text);
          redacted.received(left);
        }
      }
      plain.close();
      redacted.close();
      assert.ok(plain.observed.ended.length > 5);
      assert.deepEqual(redacted.observed.ended, plain.observed.ended);
    });
  }

  it("keeps no literal, parameter, row, password or message of an error", () => {
    const asked = new PostgresqlMasker();
    const startup = `${int32(196608)}user\0secret\0database\0shop\0\0`;
    const parse = message(
      "P",
      "find\0SELECT 'secret', 4711 /* secret */ FROM t WHERE a = $1\0\0\0",
    );
    const texts = [
      int32(startup.length + 4) + startup,
      message("p", "secret\0"),
      message("Q", "SELECT E'sec\\'ret', $$secret$$, 'secret\0"),
      parse +
        message("B", `\0find\0\0\0\0\x01${int32(6)}secret\0\0`) +
        message("E", `\0${int32(0)}`),
      message("d", "secret\tsecret\n"),
    ];
    for (const text of texts) assert.doesNotMatch(masked(asked, text), /secret|sec\\|4711/);
    const answered = new PostgresqlMasker();
    const error = message("E", "SERROR\0C42P01\0Mrelation secret does not exist\0\0");
    const row = message("D", `\0\x01${int32(6)}secret`);
    const left = masked(answered, row + message("K", "secret!!") + error + message("Z", "I"));
    assert.doesNotMatch(left, /secret/);
    assert.match(left, /C42P01\0/);
  });

  it("keeps nothing after a gap, or of a message that is cut", () => {
    const masker = new PostgresqlMasker();
    masked(masker, message("D", "rows of secrets").slice(0, 9));
    assert.doesNotMatch(masked(masker, "secret"), /secret/);
    const bytes = Buffer.from(message("Q", "SELECT secret\0"), "latin1");
    masker.mask(bytes, { isGap: true, unseen: 0 });
    assert.doesNotMatch(bytes.toString("latin1"), /secret/);
  });

  it("masks statements so that what is said of them stays", () => {
    for (const sql of [
      "SELECT 'it''s', \"Name\", 1.5e10, U&'d' FROM a.b WHERE x IN (1, 2, 33) -- why",
      "/* a /* b */ c */ UPDATE t SET a = $tag$ $$ $tag$, b = -7 WHERE c = 'never ends",
      "INSERT INTO müller (ö) VALUES ('ä', x'ff', 0x1F, .5)",
    ]) {
      const bytes = Buffer.from(sql, "utf8");
      maskSql(bytes, POSTGRESQL_DIALECT);
      assert.deepEqual(summarizeSql(bytes.toString("utf8")), summarizeSql(sql));
      assert.doesNotMatch(bytes.toString("utf8"), /it''s|33|why|never|ä|ff|1F/);
    }
  });
});
