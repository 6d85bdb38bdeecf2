"""A process of its own that reads the heads of files nobody has looked at yet: it may not write, and not take much.

``python -m …reading.child PATH [PATTERN]``: ``Facts`` as JSON on standard output, or status 3 and a sentence.
"""

import os
import resource
import sys
from pathlib import Path

REFUSED = 3
_MEMORY, _SECONDS, _FILES = 2 << 30, 120, 64


def main() -> None:
    _limit()
    from appliance.inference.catalogue.reading.facts import Unreadable
    from appliance.inference.catalogue.reading.folder import read_folder

    try:
        said = read_folder(Path(sys.argv[1]), *sys.argv[2:3]).model_dump_json()
    except Unreadable as error:
        said = str(error)
    except OSError as error:
        said = f"it cannot be read: {error.strerror}"
    except (MemoryError, RecursionError):
        said = "reading it takes more memory than is given to that"
    else:
        _tell(said, 0)
    _tell(said, REFUSED)


def _limit() -> None:
    """Before anything of the file is read. Weights are mapped, not loaded, so that RLIMIT_DATA does not count them."""
    for which, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_DATA, _MEMORY),
        (resource.RLIMIT_CPU, _SECONDS),
        (resource.RLIMIT_NOFILE, _FILES),
    ):
        resource.setrlimit(which, (most, most))


def _tell(said: str, status: int) -> None:
    os.write(1, said.encode("utf-8", "replace"))
    os._exit(status)


if __name__ == "__main__":
    main()
