# SPDX-License-Identifier: Apache-2.0
"""A scripted session on a PostgreSQL server: waits for SIGUSR1, then one statement after another.

usage: postgresql-session.py PORT
"""
import io
import signal
import sys

import psycopg
import psycopg2

port = int(sys.argv[1])
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
print("waiting", flush=True)
signal.sigwait({signal.SIGUSR1})
dsn = f"host=127.0.0.1 port={port} dbname=postgres user=tester"

# The simple protocol; the client asks for TLS first, which this server has not.
simple = psycopg2.connect(dsn)
simple.autocommit = True
cursor = simple.cursor()
cursor.execute("CREATE TABLE users (id int PRIMARY KEY, name text)")
cursor.execute("INSERT INTO users VALUES (%s, %s), (%s, %s)", (1, "o'hara", 2, "secret"))
cursor.execute("SELECT name FROM users WHERE id IN (1, 2, 3) AND name <> 'x''y'")
assert len(cursor.fetchall()) == 2
try:
    cursor.execute("SELECT * FROM missing WHERE id = 5")
    raise AssertionError("no error")
except psycopg2.errors.UndefinedTable:
    pass
cursor.execute("SELECT 1; SELECT 2")
cursor.copy_expert("COPY users FROM STDIN", io.StringIO("3\tc\n4\td\n"))
out = io.StringIO()
cursor.copy_expert("COPY users TO STDOUT", out)
assert len(out.getvalue().splitlines()) == 4
simple.close()

# The extended protocol, statements prepared with names, and a pipeline with an error in it.
extended = psycopg.connect(dsn, autocommit=True)
for number in range(3):
    row = extended.execute("SELECT name FROM users WHERE id = %s", (2,), prepare=True).fetchone()
    assert row == ("secret",)
extended.execute("UPDATE users SET name = %s WHERE id = %s", ("new", 1))
try:
    extended.execute("INSERT INTO users (id) VALUES (%s)", (1,))
    raise AssertionError("no error")
except psycopg.errors.UniqueViolation:
    pass
with extended.pipeline():
    cursors = [extended.execute("SELECT count(*) FROM users WHERE id > %s", (n,)) for n in range(5)]
    assert [c.fetchone()[0] for c in cursors] == [4, 3, 2, 1, 0]
with extended.cursor().copy("COPY users (id, name) FROM STDIN") as copy:
    copy.write_row((10, "ten"))
extended.execute("DELETE FROM users")
extended.close()
print("done", flush=True)
signal.sigwait({signal.SIGUSR1})
