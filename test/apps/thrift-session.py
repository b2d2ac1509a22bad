# SPDX-License-Identifier: Apache-2.0
"""Apache Thrift's own library on both sides, without generated code.

server PORT ENCODING TRANSPORT   serves until it is killed
client PORT ENCODING TRANSPORT   makes the calls that the test expects
"""
import sys

from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.protocol.TCompactProtocol import TCompactProtocol
from thrift.server.TServer import TThreadedServer
from thrift.Thrift import TApplicationException, TMessageType, TProcessor, TType
from thrift.transport.TSocket import TServerSocket, TSocket
from thrift.transport.TTransport import (TBufferedTransport, TBufferedTransportFactory,
                                         TFramedTransport, TFramedTransportFactory)

ROLE, PORT, ENCODING, TRANSPORT = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]


def protocol_of(transport):
    if ENCODING == "compact":
        return TCompactProtocol(transport)
    strict = ENCODING == "strict"
    return TBinaryProtocol(transport, strictRead=strict, strictWrite=strict)


class ProtocolFactory:
    def getProtocol(self, transport):
        return protocol_of(transport)


def write_reply(out, number, of_field):
    out.writeStructBegin("result")
    if of_field == 0:
        out.writeFieldBegin("success", TType.LIST, 0)
        out.writeListBegin(TType.STRING, 3)
        for text in ("one", "two", "x" * number):
            out.writeString(text)
        out.writeListEnd()
        out.writeFieldEnd()
    elif of_field > 0:
        out.writeFieldBegin("error", TType.STRUCT, of_field)
        out.writeStructBegin("SoldOut")
        out.writeFieldBegin("what", TType.STRING, 1)
        out.writeString("none left")
        out.writeFieldEnd()
        out.writeFieldStop()
        out.writeStructEnd()
        out.writeFieldEnd()
    out.writeFieldStop()
    out.writeStructEnd()


class Shop(TProcessor):
    def process(self, iprot, oprot):
        name, kind, seqid = iprot.readMessageBegin()
        if isinstance(name, bytes):  # without a version, the library does not decode it
            name = name.decode()
        iprot.skip(TType.STRUCT)
        iprot.readMessageEnd()
        if kind == TMessageType.ONEWAY:
            return
        if name == "unknown":
            error = TApplicationException(TApplicationException.UNKNOWN_METHOD, "no such method")
            oprot.writeMessageBegin(name, TMessageType.EXCEPTION, seqid)
            error.write(oprot)
        else:
            oprot.writeMessageBegin(name, TMessageType.REPLY, seqid)
            write_reply(oprot, 40, {"Shop:buy": 1, "clear": -1}.get(name, 0))
        oprot.writeMessageEnd()
        oprot.trans.flush()


def call(protocol, name, kind, seqid):
    protocol.writeMessageBegin(name, kind, seqid)
    protocol.writeStructBegin("args")
    protocol.writeFieldBegin("query", TType.MAP, 1)
    protocol.writeMapBegin(TType.STRING, TType.I64, 2)
    for key, value in (("books", 2 ** 40), ("pens", -3)):
        protocol.writeString(key)
        protocol.writeI64(value)
    protocol.writeMapEnd()
    protocol.writeFieldEnd()
    protocol.writeFieldBegin("all", TType.BOOL, 2)
    protocol.writeBool(True)
    protocol.writeFieldEnd()
    protocol.writeFieldBegin("price", TType.DOUBLE, 40)
    protocol.writeDouble(1.5)
    protocol.writeFieldEnd()
    protocol.writeFieldStop()
    protocol.writeStructEnd()
    protocol.writeMessageEnd()
    protocol.trans.flush()
    if kind == TMessageType.ONEWAY:
        return
    _, answer, _ = protocol.readMessageBegin()
    if answer == TMessageType.EXCEPTION:
        TApplicationException().read(protocol)
    else:
        protocol.skip(TType.STRUCT)
    protocol.readMessageEnd()


if ROLE == "server":
    factory = TFramedTransportFactory() if TRANSPORT == "framed" else TBufferedTransportFactory()
    TThreadedServer(Shop(), TServerSocket("127.0.0.1", PORT), factory, ProtocolFactory()).serve()
else:
    socket = TSocket("127.0.0.1", PORT)
    transport = TFramedTransport(socket) if TRANSPORT == "framed" else TBufferedTransport(socket)
    transport.open()
    client = protocol_of(transport)
    call(client, "search", TMessageType.CALL, 0)
    call(client, "Shop:buy", TMessageType.CALL, 0)
    call(client, "note", TMessageType.ONEWAY, 0)
    call(client, "clear", TMessageType.CALL, 7)
    call(client, "unknown", TMessageType.CALL, 8)
    transport.close()
    print("done")
