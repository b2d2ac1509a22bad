# SPDX-License-Identifier: Apache-2.0
"""What an AMQP 1.0 client does, with known operations: amqp10-session.py PORT."""
import sys

from proton import Message, ProtonException
from proton.utils import BlockingConnection

connection = BlockingConnection(f"amqp://guest:guest@127.0.0.1:{sys.argv[1]}", timeout=3)
sender = connection.create_sender("/queue/orders10")
for number in range(2):
    sender.send(Message(id=f"m-{number}", body=b"x" * (5 + number)))
receiver = connection.create_receiver("/queue/orders10")
for _ in range(2):
    receiver.receive(timeout=3)
    receiver.accept()
try:
    connection.create_sender("/nothing/like/this")
except ProtonException:
    # RabbitMQ ends the session; Proton waits until its time is over.
    print("refused")
connection.close()
print("done")
