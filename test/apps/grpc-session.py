# SPDX-License-Identifier: Apache-2.0
"""A scripted client of gRPC's TestService (test/apps/grpc-go), on gRPC's C core, without stubs.

usage: grpc-session.py ADDRESS. Waits for SIGUSR1.
"""
import signal
import sys

import grpc

SERVICE = "/grpc.testing.TestService/"

signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
print("waiting", flush=True)
signal.sigwait({signal.SIGUSR1})

channel = grpc.insecure_channel(sys.argv[1])


def unary(method):
    return channel.unary_unary(SERVICE + method)


for _ in range(3):
    unary("EmptyCall")(b"")
# response_size = 30000
assert len(unary("UnaryCall")(b"\x10\xb0\xea\x01")) > 30_000
try:
    unary("Missing")(b"")
    raise AssertionError("no error")
except grpc.RpcError as error:
    assert error.code() == grpc.StatusCode.UNIMPLEMENTED
# Three times response_parameters with size = 10.
stream = channel.unary_stream(SERVICE + "StreamingOutputCall")(b"\x12\x02\x08\x0a" * 3)
assert len(list(stream)) == 3
# Until its time is over.
try:
    list(channel.unary_stream(SERVICE + "StreamingOutputCall")(b"", timeout=2))
    raise AssertionError("no error")
except grpc.RpcError as error:
    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
# fill_username = true: answered when 100 have come.
calls = [unary("UnaryCall").future(b"\x20\x01") for _ in range(100)]
for call in calls:
    call.result()
print("done", flush=True)
signal.sigwait({signal.SIGUSR1})
