"""What an action asks of a sandbox, whichever kind carries it out."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from appliance.lib.leaving import Leaving
from appliance.sandbox.ebpf.watched import Watched

FILE_NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$"
"""Of a file that is put into a job's working folder."""

OutputListener = Callable[[str, bytes], None]
"""Called with ``"stdout"`` or ``"stderr"`` and a piece of live output. Best effort: a flood is thinned."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one job may use. ``memory`` counts per process; ``processes`` for the tree."""

    memory: int = 1 << 30
    processes: int = 256
    open_files: int = 1024
    file_bytes: int = 1 << 30
    cpu_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class CheckpointFile:
    """A file that ``$MILLWRIGHT_CHECKPOINT`` names, in which a job keeps its state.

    ``initial`` is put there before the job begins. ``keep`` gets each new content that is whole, at most every
    ``every`` seconds and once at the end; ``note`` gets a sentence about each that cannot be kept. ``limit`` is
    in bytes.
    """

    initial: bytes | None
    keep: Callable[[bytes], Awaitable[None]]
    note: Callable[[str], None]
    limit: int = 16 << 20
    every: float = 5.0


@dataclass(frozen=True, slots=True)
class Declared:
    """What a job's author says that it does; None where nothing is said.

    ``network``: ``host``, ``host:port`` or ``network/bits``, with or without a port; empty for none at all; with
    ``any`` in it, everything. ``programs``: names, or absolute paths, of what it executes beside its own command.
    """

    network: tuple[str, ...] | None = None
    programs: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One command, with all that it may see and use.

    ``workdir`` is the folder it may write; None gives it a fresh private one that is removed afterwards.
    ``reads`` and ``writes`` are absolute paths that it sees beside the system's own. ``timeout`` is in
    seconds; ``output_limit`` is in bytes for each of the two streams.

    ``pins``: the real path and the SHA-256 (hexadecimal) of each program that was looked at before the job was
    allowed; where one is another now, the job is refused. ``seen``: what such a file was then (device, inode,
    size, times of change of content and of the file itself in ns), so that one that still is that is not read
    again. ``executable``: what is executed as ``argv[0]``; without it the name is looked for on PATH.

    ``cgroup``: the name of the control group that guard has made for it; empty for none.

    ``label`` names it to whoever asks what runs.

    ``files``: what lies in its private working folder from the beginning, by name. Secrets stand there and in ``env``.

    ``leaving``: when that is said the job is asked to end, with a moment for its checkpoint.
    """

    argv: tuple[str, ...]
    workdir: Path | None = None
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout: float = 60.0
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    output_limit: int = 256 * 1024
    limits: Limits = field(default_factory=Limits)
    checkpoint: CheckpointFile | None = None
    pins: Mapping[str, str] = field(default_factory=dict)
    seen: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    executable: str = ""
    declared: Declared = field(default_factory=Declared)
    cgroup: str = ""
    label: str = ""
    files: Mapping[str, str] = field(default_factory=dict, repr=False)
    leaving: Leaving | None = field(default=None, compare=False)


LONGEST_LABEL = 300


def label_of(run: str, step: str) -> str:
    """What a job is called where people are told what runs."""
    return f"step {step} of run {run}"[:LONGEST_LABEL] if run else "a job of no run"


@dataclass(frozen=True, slots=True)
class Captured:
    """The beginning and the end of a stream, and how long it was in all."""

    head: bytes
    tail: bytes
    total: int

    @property
    def dropped(self) -> int:
        """How many bytes between head and tail were not kept."""
        return self.total - len(self.head) - len(self.tail)

    @property
    def text(self) -> str:
        """The kept bytes as UTF-8, with a line that says how much is missing, if any is."""
        if not self.dropped:
            return (self.head + self.tail).decode("utf-8", "replace")
        head = self.head.decode("utf-8", "replace")
        tail = self.tail.decode("utf-8", "replace")
        return f"{head}\n[… {self.dropped} bytes dropped …]\n{tail}"


@dataclass(frozen=True, slots=True)
class Usage:
    """What the job and its children used."""

    user_seconds: float
    system_seconds: float
    max_rss_bytes: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended. Exactly one of ``exit_status`` and ``signal`` is set.

    127 stands for a command that was not found, 126 for one that could not be executed, as in a shell.
    A job that ended by itself after its time limit's SIGTERM has both an exit status and ``timed_out``.
    ``cancelled`` means that it was killed from outside: the sandbox was stopped under it.
    ``stopped`` means that it was asked to end, because who wanted it leaves, and did so or was killed a moment later.
    ``watched`` is the kernel's record of it; None where nobody was to watch.
    """

    exit_status: int | None
    signal: int | None
    timed_out: bool
    cancelled: bool
    stdout: Captured
    stderr: Captured
    started_at: datetime
    duration: timedelta
    usage: Usage
    watched: Watched | None = None
    stopped: bool = False


class Sandbox(Protocol):
    """Runs jobs confined. Cancelling the task that awaits ``run`` kills the whole tree of the job."""

    async def run(self, job: Job, *, on_output: OutputListener | None = None) -> Outcome:
        """Run ``job`` to its end.

        Raises SandboxUnavailable, JobRefused (nothing ran in both cases) or JobLost (it may have run).
        """
        ...
