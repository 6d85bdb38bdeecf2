"""An application that does nothing, on the server that the box's pages have: ``python -m
appliance.processes.bench.bare HOST:PORT``. What a request takes here no application on this server can go below.
"""

import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

BODY = b'{"id": "b", "object": "chat.completion", "choices": [], "usage": {}}'.ljust(300)
"""Of the size of a small answer."""
_HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())]


async def answer(
    scope: Mapping[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": BODY})


if __name__ == "__main__":
    # Loading Daphne opens an event loop: not in whoever only looks at this module.
    from appliance.processes.http_server import bounded_server

    host, _, port = sys.argv[1].rpartition(":")
    endpoint = f"tcp:port={port}:interface={host}"
    bounded_server(application=answer, endpoints=[endpoint], server_name="millwright").run()
