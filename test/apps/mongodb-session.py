# SPDX-License-Identifier: Apache-2.0
"""A scripted session on a MongoDB server: waits for SIGUSR1, then one command after another.

usage: mongodb-session.py PORT [DOCUMENTS]
"""
import signal
import sys
import time

import pymongo
from pymongo import MongoClient, UpdateOne
from pymongo.errors import PyMongoError

port = int(sys.argv[1])
documents = int(sys.argv[2]) if len(sys.argv) > 2 else 2000
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
print("waiting", flush=True)
signal.sigwait({signal.SIGUSR1})

client = MongoClient("127.0.0.1", port, retryWrites=False, maxPoolSize=1, socketTimeoutMS=9000)
users = client.shop.users
client.admin.command("ping")
# The agent sees so far what it needs to tell the protocol; it decides a few times a second.
time.sleep(0.3)
users.insert_one({"_id": 1, "name": "secret-name"})
users.insert_many([{"_id": number, "group": number % 3} for number in range(2, 6)])
assert users.find_one({"name": "secret-name"})["_id"] == 1
assert users.count_documents({"group": {"$in": [1, 2]}}) == 3
assert users.update_one({"_id": 1}, {"$set": {"age": 40}}).modified_count == 1
users.bulk_write([UpdateOne({"_id": number}, {"$set": {"a": 1}}) for number in (2, 3)])
assert users.delete_one({"_id": 5}).deleted_count == 1
for fail in (
    lambda: users.insert_one({"_id": 1}),
    lambda: client.shop.command("noSuchCommand", 1),
):
    try:
        fail()
        raise AssertionError("no error")
    except PyMongoError:
        pass
users.create_index([("name", pymongo.ASCENDING)])
client.shop.large.insert_many([{"_id": number, "text": "x" * 100} for number in range(documents)])
# Several batches, and replies of which the kernel hands over the beginning.
assert len(list(client.shop.large.find({}, batch_size=documents // 2))) == documents
users.drop()
client.close()
print("done", flush=True)
signal.sigwait({signal.SIGUSR1})
