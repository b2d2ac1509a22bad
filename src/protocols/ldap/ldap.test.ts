// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { callLine, fromHex, u8, u16 } from "../calls-testing.ts";
import { Conversation, TEST_OPTIONS } from "../testing.ts";
import { obfuscatedName } from "./filter.ts";
import { LDAP } from "./protocol.ts";

/** Messages of RFC 4511, by hand. */
function ber(tag: number, content: string): string {
  const { length } = content;
  const size =
    length < 128 ? u8(length) : length < 256 ? `\x81${u8(length)}` : `\x82${u16(length)}`;
  return u8(tag) + size + content;
}
const message = (id: number, tag: number, content: string, rest = ""): string =>
  ber(0x30, ber(2, u8(id)) + ber(tag, content) + rest);
const text = (value: string): string => ber(4, value);
const result = (id: number, tag: number, code: number): string =>
  message(id, tag, ber(10, u8(code)) + text("") + text("because"));
const bind = (id: number, name: string): string =>
  message(id, 0x60, ber(2, "\x03") + text(name) + ber(0x80, "password"));
const search = (id: number, base: string, filter: string): string =>
  message(
    id,
    0x63,
    text(base) + fromHex("0a0102 0a0100 020100 020100 010100") + filter + ber(0x30, ""),
  );
const equal = (name: string, value: string): string => ber(0xa3, text(name) + text(value));

const lines = (talk: Conversation): readonly string[] => talk.observed.ended.map(callLine);

describe("LDAP", () => {
  it("pairs operations by their ids, counts entries, and hides values", () => {
    const talk = new Conversation(LDAP).sent(bind(1, "cn=admin,dc=example"));
    talk.received(result(1, 0x61, 49));
    const filter = ber(0xa0, equal("uid", "ann") + ber(0xa2, ber(0x87, "mail")));
    talk.sent(search(2, "ou=people,dc=example", filter)).sent(message(3, 0x4a, "uid=x,dc=example"));
    talk.received(
      message(2, 0x64, text("uid=ann") + ber(0x30, "")) +
        message(2, 0x64, text("uid=bob") + ber(0x30, "")),
    );
    talk
      .received(result(3, 0x6b, 0))
      .received(result(2, 0x65, 4))
      .sent(message(4, 0x42, ""))
      .close();
    assert.deepEqual(lines(talk), [
      "bind db.operation.name=bind db.query.text=bind cn=?,dc=? db.response.status_code=49 db.system.name=ldap error.type=invalidCredentials",
      "delete db.operation.name=delete db.query.text=delete uid=?,dc=? db.system.name=ldap",
      "search db.operation.name=search db.query.text=search ou=?,dc=? sub (&(uid=?)(!(mail=*))) db.response.returned_rows=2 db.response.status_code=4 db.system.name=ldap error.type=sizeLimitExceeded",
    ]);
    assert.deepEqual(talk.observed.losses, []);
  });

  it("ends an operation that is abandoned, and does not follow what becomes TLS", () => {
    const talk = new Conversation(LDAP).sent(search(1, "", equal("a", "b")));
    talk.sent(message(2, 0x50, "\x01"));
    talk.sent(message(3, 0x77, ber(0x80, "1.3.6.1.4.1.1466.20037"))).received(result(3, 0x78, 0));
    talk.sent("\x16\x03\x01\0\x05hello");
    assert.deepEqual(
      talk.observed.ended.map(
        ({ name, attributes }) => `${name} ${attributes["error.type"] ?? ""}`,
      ),
      ["search abandoned", "startTLS "],
    );
    assert.deepEqual(talk.observed.losses, ["after_upgrade", "after_upgrade"]);
  });

  it("shows values only if that is wanted", () => {
    const talk = new Conversation(LDAP, { ...TEST_OPTIONS, rawStatements: true });
    talk.received(search(1, "dc=example", equal("uid", "ann"))).sent(result(1, 0x65, 0));
    assert.equal(
      talk.observed.ended[0]?.attributes["db.query.text"],
      "search dc=example sub (uid=ann)",
    );
  });

  it("takes a nested and cut filter as far as it goes", () => {
    let filter = equal("a", "b");
    for (let depth = 0; depth < 200; depth++) filter = ber(0xa2, filter);
    const talk = new Conversation(LDAP).sent(search(1, "", filter));
    talk.sent(search(2, "dc=x", equal("name", "v".repeat(500))), 40);
    talk.received(result(1, 0x65, 0)).received(result(2, 0x65, 0));
    assert.equal(talk.observed.ended.length, 2);
    assert.match(String(talk.observed.ended[0]?.attributes["db.query.text"]), /^search sub \(!/);
  });

  it("hides the values of names, escaped commas included", () => {
    assert.equal(obfuscatedName("cn=Ann\\, B+sn=C,ou=x, dc=y"), "cn=?+sn=?,ou=?,dc=?");
    assert.equal(obfuscatedName("Administrator"), "?");
  });

  it("is recognised by an operation that fills its message", () => {
    const detect = (bytes: string): string =>
      LDAP.detect(Buffer.from(bytes, "latin1"), 0, bytes.length);
    assert.equal(detect(bind(1, "cn=admin")), "yes");
    assert.equal(detect(result(1, 0x61, 0)), "yes");
    assert.equal(detect(message(1, 0x42, "", ber(0xa0, ""))), "yes");
    assert.equal(detect(ber(0x30, ber(2, "\x01") + ber(0x60, "") + ber(4, "x"))), "no");
    assert.equal(detect(ber(0x30, ber(2, "\x01") + ber(0x13, "abc"))), "no");
    assert.equal(detect("\x30\x0c\x02"), "more");
  });
});
