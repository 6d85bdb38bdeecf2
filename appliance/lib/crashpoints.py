"""Named places at which a process can be made to die, so that the promises about crashes can be proved.

``MILLWRIGHT_CRASH_AT=reflex.after_commit:3`` kills the process with SIGKILL when it reaches that place for the
third time. Without the variable a place costs one comparison.
"""

import os
import signal

_name, _, _count = os.environ.get("MILLWRIGHT_CRASH_AT", "").partition(":")
_left = int(_count) if _count.isdigit() else 1


def reach(place: str) -> None:
    """Die here if this is the place."""
    global _left
    if _name and place == _name:
        _left -= 1
        if _left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
