"""Whether the embedded broker has given up its store. Standard library only: attend.py asks.

After one failed write (a full disk) NATS refuses everything that it would have to keep, until it is started again.
"""

import contextlib
import http.client
import json
import os
import re
from pathlib import Path
from urllib.parse import urlsplit

ROOM = 32 * 1024 * 1024
"""Bytes that must be free: with less a new start would soon end in the same way."""
_LIMIT = 2.0
_GIVEN_UP = re.compile("write error|no space left|disabled")


def given_up(folder: Path) -> bool:
    """As its own health check says, and there is room to try again. ``folder`` is where it writes, at each start, the
    port of its monitoring; a broker that does not answer has not said so."""
    try:
        newest = max(folder.glob("*.ports"), key=lambda file: file.stat().st_mtime)
        address = urlsplit(json.loads(newest.read_text())["monitoring"][0])
        found = os.statvfs(folder)
        return bool(_GIVEN_UP.search(_error(address.port or 0))) and found.f_bavail * found.f_frsize >= ROOM
    except (OSError, ValueError, LookupError, TypeError, http.client.HTTPException):
        return False


def _error(port: int) -> str:
    """What it says is wrong with it; empty where nothing is, and while it only reads its store."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=_LIMIT)) as connection:
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        return "" if answer.status == http.client.OK else str(json.load(answer).get("error", ""))
