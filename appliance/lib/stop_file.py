"""The file that stops a box, as every process reads it: by its path alone, with nothing but the system's own calls.

Here and not in the safety layer, because the spawner reads it too, which loads next to nothing.
"""

# pathlib is not loaded in the spawner
# ruff: noqa: PTH116, PTH118, PTH123

import os

FILE_NAME = "ALLSTOP"
WORDS = ("none", "freeze", "kill", "cut", "read_only")
"""The levels from none to the strictest; each holds what the one before it holds."""


def read_word(path: str) -> str:
    """The level that the file names: ``none`` without one, ``freeze`` where it says nothing or cannot be read."""
    try:
        status = os.stat(path)  # on the path of every effect: 2 µs
    except FileNotFoundError:
        return "none"
    except OSError:
        return "freeze"
    if not status.st_size:
        return "freeze"
    try:
        with open(path, "rb") as file:
            words = file.read(200).decode("ascii", "replace").split()
    except FileNotFoundError:
        return "none"
    except OSError:
        return "freeze"
    return words[0] if words and words[0] in WORDS[1:] else "freeze"


def kills(path: str) -> bool:
    """Whether the file says that running sandboxes are to be killed."""
    return WORDS.index(read_word(path)) >= WORDS.index("kill")


def path_in(home: str) -> str:
    """Where a box with this home looks for it."""
    return os.path.join(home, FILE_NAME)
