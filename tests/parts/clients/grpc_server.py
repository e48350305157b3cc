"""A gRPC service that says which authorization it was sent. Prints its port; ends with stdin."""
import json
import sys
from concurrent import futures

import grpc


def say(request, context):
    sent = [value for name, value in context.invocation_metadata() if name == "authorization"]
    if request == b"fail":
        context.set_trailing_metadata([("x-reason", "asked")])
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "as you wish")
    context.set_trailing_metadata([("x-trail", "t1")])
    return json.dumps({"request": request.decode(), "authorization": sent}).encode()


def count(request, context):
    for n in range(int(request)):
        yield str(n).encode()


def total(requests, context):
    return str(sum(int(request) for request in requests)).encode()


def shout(requests, context):
    """Answers each message before the next one is sent."""
    for request in requests:
        yield request.upper()
    context.set_trailing_metadata([("x-trail", "said all")])


handlers = {
    "Say": grpc.unary_unary_rpc_method_handler(say),
    "Count": grpc.unary_stream_rpc_method_handler(count),
    "Total": grpc.stream_unary_rpc_method_handler(total),
    "Shout": grpc.stream_stream_rpc_method_handler(shout),
}
server = grpc.server(futures.ThreadPoolExecutor(4))
server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("sandbox.Echo", handlers)])
print(json.dumps({"ready": True, "port": server.add_insecure_port("127.0.0.1:0")}), flush=True)
server.start()
sys.stdin.read()
