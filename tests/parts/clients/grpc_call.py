"""Calls the service of grpc_server.py through the proxy at PROXY (host:port), addressed as AUTHORITY."""
import json
import os

import grpc

options = [("grpc.default_authority", os.environ["AUTHORITY"])]
channel = grpc.insecure_channel(os.environ["PROXY"], options=options)
say = channel.unary_unary("/sandbox.Echo/Say")
dummy = [("authorization", "Bearer dummy")]
answer, call = say.with_call(b"hi", timeout=20, metadata=dummy)
trailers = dict(call.trailing_metadata())
count = list(channel.unary_stream("/sandbox.Echo/Count")(b"3", timeout=20))
try:
    say(b"fail", timeout=20)
except grpc.RpcError as error:
    failed = [error.code().name, error.details(), dict(error.trailing_metadata()).get("x-reason")]
print(json.dumps({
    "answer": json.loads(answer), "trailer": trailers.get("x-trail"), "count": [n.decode() for n in count],
    "failed": failed,
}))
