"""Who is connected to the embedded broker, as its own monitoring says: one small GET on loopback."""

import asyncio
import contextlib
import http.client
import json
import logging
from pathlib import Path
from urllib.parse import urlsplit

log = logging.getLogger(__name__)

LIMIT = 2.0
_MOST = 10_000
_PATH = f"/connz?auth=1&state=open&limit={_MOST}"


class BrokerConnections:
    """``folder`` is where the broker writes the port of its monitoring at each start."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def __call__(self) -> frozenset[str] | None:
        """The accounts with an open connection; None while the broker does not answer."""
        return await asyncio.to_thread(self._ask)

    def _ask(self) -> frozenset[str] | None:
        for file in sorted(self._folder.glob("*.ports"), key=_written, reverse=True):
            try:
                address = urlsplit(json.loads(file.read_text())["monitoring"][0])
                return _accounts(address.hostname or "127.0.0.1", address.port or 0)
            except (OSError, ValueError, LookupError, TypeError, http.client.HTTPException) as error:
                log.debug("the broker's monitoring does not answer: %s", error)
        return None


async def no_connections() -> None:
    """A broker of somebody else's does not tell."""
    return


def _accounts(host: str, port: int) -> frozenset[str]:
    with contextlib.closing(http.client.HTTPConnection(host, port, timeout=LIMIT)) as connection:
        connection.request("GET", _PATH)
        answer = json.load(connection.getresponse())
    return frozenset(str(one["authorized_user"]) for one in answer["connections"] if "authorized_user" in one)


def _written(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0
