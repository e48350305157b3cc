"""Text, 300 kB of binary, a subprotocol and compression over a WebSocket. usage: websocket_echo.py URL"""
import asyncio
import os
import sys

import websockets


async def main(url):
    async with websockets.connect(url, max_size=None, additional_headers={"Authorization": "Bearer dummy"}) as socket:
        await socket.send("hello")
        assert await socket.recv() == "hello"
        blob = os.urandom(300_000)
        await socket.send(blob)
        assert await socket.recv() == blob
    print("websocket", "ok")


asyncio.run(asyncio.wait_for(main(os.environ["WS_URL"]), 30))
