"""Whether a service is healthy: ``healthy.py URL [PART]`` or ``healthy.py SOCKET``. Exit status 1 when it is not.

Standard library only, and without the product: it runs every few seconds in each container.
"""

import json
import socket
import sys
import urllib.error
import urllib.request

_SECONDS = 4


def answers(url: str, part: str | None) -> bool:
    """``url`` gives 200, or with ``part`` says of that part that it is healthy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=_SECONDS) as response:
            body = response.read()
    except urllib.error.HTTPError as error:
        if part is None:
            return False
        body = error.read()  # another part is not well
    return part is None or bool(json.loads(body)["parts"][part]["healthy"])


def listens(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_SECONDS)
        connection.connect(path)
    return True


def main(where: str, part: str | None = None) -> int:
    try:
        return 0 if (answers(where, part) if "://" in where else listens(where)) else 1
    except (OSError, ValueError, KeyError) as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
