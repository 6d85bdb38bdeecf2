"""How a job gets into a container that waits for it, and how its end is told.

The container's first process is a shell that reads what to do from its standard input: a fixed text around quoted
values. It runs the job as a child with an empty standard input, and tells the status on both streams, so that all
that the job said comes before: the mark is a number that nobody could guess.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from appliance.sandbox.docker.blueprint import WORK

_BEFORE = """\
umask 077; exec 3>&2 2>/dev/null; trap : TERM
(trap - TERM; unset TINI_KILL_PROCESS_GROUP SHLVL OLDPWD PWD HOSTNAME
"""
_AFTER = """\
) </dev/null 2>&3 3>&-
s=$?; set -- /proc/[0-9]*; m=0; u=0; k=0; c=/sys/fs/cgroup
read -r m <$c/memory.peak || read -r m <$c/memory/memory.max_usage_in_bytes
read -r u <$c/cpuacct/cpuacct.usage_user; read -r k <$c/cpuacct/cpuacct.usage_sys
while read -r n v; do case $n in user_usec) u=${v}000;; system_usec) k=${v}000;; esac; done <$c/cpu.stat
printf '\\036%s %s %s %s %s %s\\n' MARK $s $# $m $u $k
printf '\\036%s %s %s %s %s %s\\n' MARK $s $# $m $u $k >&3
exec >&- 3>&-; read -r n
"""
_OWN = {"HOME": WORK, "TMPDIR": WORK, "LANG": "C.UTF-8"}
_HEADER = 8
_STREAMS = {1: "stdout", 2: "stderr"}
ALONE = 2
"""Processes in a container whose job has left nothing behind: the init and the shell."""


@dataclass(frozen=True, slots=True)
class Used:
    """What a container and all in it used, in seconds and bytes, as the kernel counts it for the container."""

    user_seconds: float = 0.0
    system_seconds: float = 0.0
    memory_bytes: int = 0


def script(argv: Sequence[str], env: Mapping[str, str], mark: str) -> bytes:
    """What the waiting shell reads. Every value is one quoted word: none is ever read as text of the shell's."""
    lines = [f"export {name}={_quoted(value)}" for name, value in (_OWN | dict(env)).items()]
    lines.append("exec " + " ".join(map(_quoted, argv)))
    text = _BEFORE + "\n".join(lines) + "\n" + _AFTER.replace("MARK", mark)
    return text.encode("utf-8", "surrogateescape")


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "'\\''") + "'"


class Frames:
    """Takes apart what the engine sends: eight bytes before each piece say which stream it is of."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[str, bytes]]:
        self._buffer += data
        while len(self._buffer) >= _HEADER:
            end = _HEADER + int.from_bytes(self._buffer[4:_HEADER], "big")
            if len(self._buffer) < end:
                return
            stream, piece = self._buffer[0], bytes(self._buffer[_HEADER:end])
            del self._buffer[:end]
            if stream in _STREAMS:
                yield _STREAMS[stream], piece


class Ending:
    """Finds the status in one stream, and gives the rest of it."""

    __slots__ = ("_held", "_mark", "left", "status", "used")

    def __init__(self, mark: str) -> None:
        self._mark = b"\x1e%s " % mark.encode()
        self._held = b""
        self.status: int | None = None
        self.left = 0
        """Processes that there were when the job's own had ended."""
        self.used = Used()

    def feed(self, data: bytes) -> bytes:
        """What of the stream is the job's."""
        if self.status is not None:
            return data
        held = self._held + data
        at = held.find(self._mark)
        if at < 0:
            keep = self._partial(held)
            self._held = held[len(held) - keep :]
            return held[: len(held) - keep]
        end = held.find(b"\n", at)
        if end < 0:
            self._held = held[at:]
            return held[:at]
        status, left, memory, user, system = map(int, held[at + len(self._mark) : end].split())
        self.status, self.left, self._held = status, left, b""
        self.used = Used(user / 1e9, system / 1e9, memory)
        return held[:at] + held[end + 1 :]

    def rest(self) -> bytes:
        """What was held back, when nothing more comes."""
        held, self._held = self._held, b""
        return held

    def _partial(self, held: bytes) -> int:
        """How many bytes at the end could be the beginning of the mark."""
        for length in range(min(len(self._mark) - 1, len(held)), 0, -1):
            if held.endswith(self._mark[:length]):
                return length
        return 0
