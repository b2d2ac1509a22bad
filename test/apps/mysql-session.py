# SPDX-License-Identifier: Apache-2.0
"""A scripted session on a MariaDB or MySQL server: waits for SIGUSR1, then one command after another.

usage: mysql-session.py PORT [ROWS]
"""
import os
import signal
import struct
import sys
import tempfile

import pymysql
from pymysql.constants import CLIENT, COMMAND

port = int(sys.argv[1])
rows = int(sys.argv[2]) if len(sys.argv) > 2 else 2000
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
print("waiting", flush=True)
signal.sigwait({signal.SIGUSR1})



class Prepared(pymysql.connections.Connection):
    """The binary protocol, which this client does not speak by itself."""

    def prepare(self, sql):
        self._execute_command(COMMAND.COM_STMT_PREPARE, sql)
        packet = self._read_packet()
        statement, columns, parameters = struct.unpack("<xIHH", packet.get_all_data()[:9])
        for count in (parameters, columns):
            if count > 0:
                for _ in range(count + 1):
                    self._read_packet()
        return statement

    def execute(self, statement, *numbers):
        body = struct.pack("<IBI", statement, 0, 1)
        if numbers:
            body += b"\0" * ((len(numbers) + 7) // 8) + b"\1" + b"\x08\0" * len(numbers)
            body += b"".join(struct.pack("<q", number) for number in numbers)
        self._execute_command(COMMAND.COM_STMT_EXECUTE, body)
        packet = self._read_packet()
        if packet.is_ok_packet():
            return []
        for _ in range(packet.read_length_encoded_integer() + 1):
            self._read_packet()
        rows = []
        while True:
            packet = self._read_packet()
            if packet.is_eof_packet():
                return rows
            rows.append(packet.get_all_data())

    def discard(self, statement):
        self._execute_command(COMMAND.COM_STMT_CLOSE, struct.pack("<I", statement))


db = Prepared(
    host="127.0.0.1",
    port=port,
    user="tester",
    password="secret",
    database="shop",
    autocommit=None,
    local_infile=True,
    client_flag=CLIENT.MULTI_STATEMENTS | CLIENT.MULTI_RESULTS,
)
cursor = db.cursor()
cursor.execute("CREATE TABLE users (id INT PRIMARY KEY, name VARCHAR(100), note TEXT)")
cursor.execute("INSERT INTO users (id, name) VALUES (%s, %s), (%s, %s)", (1, "Ann", 2, "B'ob"))
cursor.execute("SELECT name FROM users WHERE id IN (%s, %s) AND name <> %s", (1, 2, "x"))
assert cursor.fetchall() == (("Ann",), ("B'ob",))
for statement in ("SELECT * FROM missing WHERE id = 7", "INSERT INTO users (id) VALUES (1)"):
    try:
        cursor.execute(statement)
        raise AssertionError("no error")
    except pymysql.MySQLError:
        pass
cursor.execute("SELECT 1; SELECT name FROM users WHERE id = 2")
assert cursor.fetchall() == ((1,),)
assert cursor.nextset()
assert cursor.fetchall() == (("B'ob",),)
cursor.execute("CREATE PROCEDURE find_user(IN wanted INT) SELECT name FROM users WHERE id = wanted")
cursor.callproc("find_user", (2,))
assert cursor.fetchall() == (("B'ob",),)
while cursor.nextset():
    pass

find = db.prepare("SELECT name FROM users WHERE id = ?")
change = db.prepare("UPDATE users SET note = 'set' WHERE id = ?")
for number in (1, 2, 3):
    assert len(db.execute(find, number)) == (0 if number == 3 else 1)
db.execute(change, 2)
db.discard(find)
try:
    db.prepare("SELECT * FROM nowhere WHERE id = ?")
    raise AssertionError("no error")
except pymysql.MySQLError:
    pass

with tempfile.NamedTemporaryFile("w", suffix=".tsv", delete=False) as file:
    for number in range(100, 100 + rows):
        file.write(f"{number}\tname {number}\t{'x' * 40}\n")
os.chmod(file.name, 0o644)
cursor.execute(f"LOAD DATA LOCAL INFILE '{file.name}' INTO TABLE users")
os.unlink(file.name)
# With 2000 rows some 100 KB, of which the kernel hands over the beginning of each send.
cursor.execute("SELECT * FROM users WHERE id >= 100")
assert len(cursor.fetchall()) == rows
cursor.execute("SELECT COUNT(*) FROM users")
cursor.execute("INSERT INTO users (id, note) VALUES (5, %s)", ("y" * 25 * rows,))
cursor.execute("SELECT note FROM users WHERE id = 5")
assert len(cursor.fetchall()[0][0]) == 25 * rows
db.ping(reconnect=False)
db.select_db("other")
cursor.execute("SELECT DATABASE()")
assert cursor.fetchall() == (("other",),)
cursor.execute("USE `shop`")
cursor.execute("SELECT DATABASE()")
db.commit()
db.close()
print("done", flush=True)
signal.sigwait({signal.SIGUSR1})
