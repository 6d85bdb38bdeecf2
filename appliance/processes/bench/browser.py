"""A browser's WebSocket, in a process of its own: when it hears of each run that has ended.

It has to be one: autobahn serves one event loop a process, and Django's has daphne, which takes Twisted's.
Started as ``python -m appliance.processes.bench.browser`` with one line of JSON on standard input. Says
``open``, and at the end gives a list of latencies in ms.
"""

import asyncio
import json
import sys
import time

from autobahn.asyncio.websocket import WebSocketClientFactory, WebSocketClientProtocol

from appliance.processes.bench.watching import Watching, latencies_of


class Listener(WebSocketClientProtocol):
    """Asks for everything from now on; keeps what it hears of runs that have succeeded."""

    factory: "Factory"

    def onOpen(self) -> None:  # noqa: N802 - autobahn's name
        self.sendMessage(json.dumps({"after": "now"}).encode())
        print("open", flush=True)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:  # noqa: N802, N803 - autobahn's names
        self.factory.latencies += latencies_of(json.loads(payload), time.time())


class Factory(WebSocketClientFactory):
    protocol = Listener

    def __init__(self, watching: Watching) -> None:
        place = f"{watching.host}:{watching.port}"
        headers = {"Cookie": watching.cookie}
        super().__init__(f"ws://{place}/ws/live", origin=f"http://{place}", headers=headers)
        self.latencies: list[float] = []


async def watch(watching: Watching) -> list[float]:
    factory = Factory(watching)
    await asyncio.get_running_loop().create_connection(factory, watching.host, watching.port)
    await asyncio.sleep(watching.seconds)
    return factory.latencies


if __name__ == "__main__":
    print(json.dumps(asyncio.run(watch(Watching(**json.loads(sys.stdin.readline()))))), flush=True)
