"""One look at an endpoint: its name, then a TCP connection that is closed again. Nothing is sent."""

import asyncio
import contextlib
import os
import socket
import threading
import time

from appliance.outbox.network.domain import Answer, Endpoint

LIMIT = 3.0
_MOST_ADDRESSES = 4


class Prober:
    """Looks names up in threads of its own: a resolver can hang for half a minute, and must hold nothing up."""

    def __init__(self, limit: float = LIMIT) -> None:
        self._limit = limit
        self._asking: dict[str, asyncio.Future[list[str]]] = {}

    async def look(self, endpoint: Endpoint) -> Answer:
        """Never raises; takes at most the limit."""
        began = time.monotonic()
        literal = _is_address(endpoint.host)
        named = None if literal else False
        try:
            async with asyncio.timeout(self._limit):
                addresses = [endpoint.host] if literal else await self._addresses(endpoint.host)
                named = None if literal else True
                await _connect(addresses[:_MOST_ADDRESSES], endpoint.port)
        except TimeoutError:
            return Answer(
                False, "no answer in time" if named is not False else "no answer to its name", None, named
            )
        except socket.gaierror as error:
            return Answer(False, f"its name is not found: {error.strerror}", None, False)
        except OSError as error:
            return Answer(False, _said(error), None, named)
        return Answer(True, "", round((time.monotonic() - began) * 1000, 1), named)

    async def _addresses(self, host: str) -> list[str]:
        """A look-up that still hangs is not begun a second time."""
        asking = self._asking.get(host)
        if asking is None:
            asking = self._asking[host] = _resolve(host)
            asking.add_done_callback(lambda _: self._asking.pop(host, None))
        return await asyncio.shield(asking)


def _resolve(host: str) -> asyncio.Future[list[str]]:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[list[str]] = loop.create_future()
    future.add_done_callback(
        lambda done: done.cancelled() or done.exception()
    )  # nobody may be waiting any more

    def settle(found: list[str] | None, error: OSError | UnicodeError | None) -> None:
        if future.done():
            return
        if found:
            future.set_result(found)
        else:
            future.set_exception(
                error if isinstance(error, OSError) else socket.gaierror(0, str(error or "no address"))
            )

    def work() -> None:
        found, problem = None, None
        try:
            entries = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            found = list(dict.fromkeys(str(entry[4][0]) for entry in entries))
        except (OSError, UnicodeError) as error:
            problem = error
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, found, problem)

    threading.Thread(target=work, name=f"look up {host}", daemon=True).start()
    return future


async def _connect(addresses: list[str], port: int) -> None:
    """The first address that answers. Raises OSError of the last one."""
    last: OSError | None = None
    for address in addresses:
        try:
            _, writer = await asyncio.open_connection(address, port)
        except OSError as error:
            last = error
            continue
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return
    raise last or OSError("no address")


def _is_address(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError):
            socket.inet_pton(family, host.partition("%")[0])
            return True
    return False


def _said(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there"
    return os.strerror(error.errno) if error.errno else str(error)[:200] or "no connection"
