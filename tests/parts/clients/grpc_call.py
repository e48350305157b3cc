"""Calls the service of grpc_server.py through the proxy at PROXY (host:port), addressed as AUTHORITY if given."""
import json
import os
import queue

import grpc

options = [("grpc.default_authority", os.environ[name]) for name in ["AUTHORITY"] if name in os.environ]
channel = grpc.insecure_channel(os.environ["PROXY"], options=options)
say = channel.unary_unary("/sandbox.Echo/Say")
dummy = [("authorization", "Bearer dummy")]
answer, call = say.with_call(b"hi", timeout=20, metadata=dummy)
trailers = dict(call.trailing_metadata())
count = list(channel.unary_stream("/sandbox.Echo/Count")(b"3", timeout=20))
total = channel.stream_unary("/sandbox.Echo/Total")(iter([b"1", b"2", b"39"]), timeout=20)
# The next word is said when the answer to the last one is there: both ways at once.
words = queue.Queue()
words.put(b"a")
shout = channel.stream_stream("/sandbox.Echo/Shout")(iter(words.get, None), timeout=20)
shouted = []
for answer_to_word in shout:
    shouted.append(answer_to_word.decode())
    words.put({"A": b"b", "B": b"c", "C": None}[shouted[-1]])
shouted.append(dict(shout.trailing_metadata()).get("x-trail"))
try:
    say(b"fail", timeout=20)
except grpc.RpcError as error:
    failed = [error.code().name, error.details(), dict(error.trailing_metadata()).get("x-reason")]
print(json.dumps({
    "answer": json.loads(answer), "trailer": trailers.get("x-trail"), "count": [n.decode() for n in count],
    "total": total.decode(), "shouted": shouted, "failed": failed,
}))
