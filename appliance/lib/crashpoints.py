"""Named places at which a process can be made to die, so that the promises about crashes can be proved.

``MILLWRIGHT_CRASH_AT=worker.after_intent:3:/folder/marker`` kills the process with SIGKILL when it reaches that
place for the third time, and leaves the marker. Where the marker is there already nobody dies: the process manager
starts the process again with the same environment, and one crash is to be one. ``@/folder/plan`` names a file that
holds such a line, or nothing; it is read each time, so that a running box can be told where to die next. Without
the variable a place costs one comparison. All places are listed in docs/testing.md.
"""

import contextlib
import os
import signal
from collections import Counter
from pathlib import Path

VARIABLE = "MILLWRIGHT_CRASH_AT"

_told = os.environ.get(VARIABLE, "")
_reached: Counter[str] = Counter()


def reach(place: str) -> None:
    """Die here if this is the place."""
    if _told and _is_to_die(place):
        os.kill(os.getpid(), signal.SIGKILL)


def _is_to_die(place: str) -> bool:
    line = _told
    if _told.startswith("@"):
        line = ""
        with contextlib.suppress(OSError):
            line = Path(_told[1:]).read_text().strip()
    name, _, rest = line.partition(":")
    if place != name:
        return False
    count, _, marker = rest.partition(":")
    _reached[line] += 1
    return _reached[line] >= int(count or 1) and (not marker or _is_first(marker))


def _is_first(marker: str) -> bool:
    """Leave the marker; False where another life left it before."""
    try:
        os.close(os.open(marker, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
    except FileExistsError:
        return False
    return True
