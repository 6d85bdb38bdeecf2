"""Asking a program of a driver. Such a program hangs when its driver does, and then not even SIGKILL ends it."""

import contextlib
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock

_LONGEST = 1 << 20
_stuck: dict[str, "subprocess.Popen[bytes]"] = {}
"""Those that did not go away when they were killed, by program: nobody starts another one beside them."""
_lock = Lock()


@dataclass(frozen=True, slots=True)
class Told:
    """What it wrote. ``status`` is None where it did not come to an end; ``trouble`` then says why."""

    text: str
    status: int | None
    trouble: str = ""


def ask(argv: Sequence[str], seconds: float, environment: Mapping[str, str] | None = None) -> Told:
    """Run it to its end, or for ``seconds``. Blocks: for a thread. Never raises."""
    program = argv[0]
    with _lock:
        before = _stuck.get(program)
        if before is not None and before.poll() is None:
            return Told("", None, "it hangs since an earlier question")
        _stuck.pop(program, None)
    try:
        child = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", **(environment or {})},
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        return Told("", None, f"it cannot be started: {error}")
    try:
        written, _ = child.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        _end(program, child)
        return Told("", None, f"it does not answer within {seconds:g} s")
    return Told(written[:_LONGEST].decode(errors="replace"), child.returncode)


def _end(program: str, child: "subprocess.Popen[bytes]") -> None:
    child.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(timeout=0.5)
    if child.returncode is None:
        # It sleeps in the kernel, in the driver that does not answer.
        with _lock:
            _stuck[program] = child
    if child.stdout is not None:
        child.stdout.close()
