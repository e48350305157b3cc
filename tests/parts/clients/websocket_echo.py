"""Text, 300 kB of binary and a subprotocol over a WebSocket at WS_URL."""
import asyncio
import json
import os

import websockets


async def main():
    fields = {"Authorization": "Bearer dummy"}
    async with websockets.connect(
        os.environ["WS_URL"], max_size=None, subprotocols=["chat.v2"], additional_headers=fields
    ) as socket:
        await socket.send("hello")
        text = await socket.recv()
        blob = os.urandom(300_000)
        await socket.send(blob)
        same = await socket.recv() == blob
        await socket.ping()
    print(json.dumps({"text": text, "binary": same, "subprotocol": socket.subprotocol, "closed": socket.close_code}))


asyncio.run(asyncio.wait_for(main(), 30))
