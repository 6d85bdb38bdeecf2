"""The file in which a job keeps its state: put back before it begins, and looked at while it runs.

A file is taken when it is whole: two looks found the same file with the same size and time, or the job ended by
itself and nobody can write there any more. What a killed job was just writing is left alone.
"""

import math
import os
import stat

from appliance.sandbox.process import wire
from appliance.sandbox.process.request import Checkpoint

NAME = ".checkpoint"
VARIABLE = "MILLWRIGHT_CHECKPOINT"

_LOOKS = 5
"""Looks in the time between two kept versions."""
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

_Identity = tuple[int, int, int]


def put_back(folder: int, content: bytes, uid: int | None, gid: int) -> None:
    """Write what an earlier life of the step left, for the job to read. Raises OSError."""
    fd = os.open(NAME, _CREATE, 0o600, dir_fd=folder)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(fd, rest) :]
        if uid is not None:
            os.fchown(fd, uid, gid)
    finally:
        os.close(fd)


class CheckpointWatch:
    """Looks at the file of one job. Gives frames to send, or nothing.

    Between two looks the file is held open: one that was renamed over meanwhile can still be taken, so that a
    job that writes a new one all the time is kept too.
    """

    __slots__ = ("_every", "_folder", "_held", "_keep_at", "_kept", "_limit", "_noted", "_seen", "due")

    def __init__(self, folder: int, asked: Checkpoint, now: float) -> None:
        self._folder, self._limit, self._every = folder, asked.limit, asked.every
        self._held = -1
        self._seen: _Identity | None = None
        self._kept: _Identity | None = None
        self._noted: set[str] = set()
        self._keep_at = now
        self.due = now + self._every / _LOOKS
        if asked.initial:
            self._hold()
            self._kept = self._seen  # what was put back is known already

    def look(self, now: float) -> bytes:
        """What is new and whole, at most once in the time that was asked for."""
        self.due = now + self._every / _LOOKS
        frames = b""
        if now >= self._keep_at:
            frames = self._take_held()
            if frames:
                self._keep_at = now + self._every
        return frames + self._hold()

    def last(self, *, by_itself: bool) -> bytes:
        """The job is over, and nothing of it is left that could write."""
        self.due = math.inf
        if by_itself:
            return self._hold() + self._take_held()
        before, frames = self._seen, self._take_held()
        trouble = self._hold()
        if before and self._seen and self._seen[0] == before[0] and self._seen != before:
            return frames + self._note(
                "the checkpoint was being written when the command was ended: not kept, the one before stays"
            )
        return frames + trouble

    def close(self) -> None:
        """Let go of the folder."""
        for fd in (self._held, self._folder):
            if fd >= 0:
                os.close(fd)
        self._held = self._folder = -1

    def _hold(self) -> bytes:
        """Open the file that lies there now; a note where it cannot be a checkpoint."""
        if self._held >= 0:
            os.close(self._held)
        self._held, self._seen = -1, None
        try:
            fd = os.open(NAME, _OPEN, dir_fd=self._folder)
        except FileNotFoundError:
            return b""
        except OSError as error:
            # A link, among others: O_NOFOLLOW
            return self._note(f"${VARIABLE} cannot be read: {error.strerror}: not kept")
        found = os.fstat(fd)
        trouble = ""
        if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
            trouble = f"${VARIABLE} is not a plain file: not kept"
        elif found.st_size > self._limit:
            trouble = (
                f"a checkpoint of more than {self._limit} bytes is not kept: this one has {found.st_size};"
                " the one before stays"
            )
        if trouble or not found.st_size:
            os.close(fd)
            return self._note(trouble) if trouble else b""
        self._held, self._seen = fd, _identity(found)
        return b""

    def _take_held(self) -> bytes:
        """The content of the file that was seen last, if nobody has written to it since."""
        wanted = self._seen
        if wanted is None or wanted == self._kept or _identity(os.fstat(self._held)) != wanted:
            return b""
        try:
            content = os.pread(self._held, wanted[1] + 1, 0)
        except OSError as error:
            return self._note(f"the checkpoint cannot be read: {error.strerror}")
        if len(content) != wanted[1] or _identity(os.fstat(self._held)) != wanted:
            return b""
        self._kept = wanted
        return wire.frame(wire.CHECKPOINT, content)

    def _note(self, text: str) -> bytes:
        """Say it once."""
        if text in self._noted:
            return b""
        self._noted.add(text)
        return wire.frame(wire.NOTE, text.encode())


def _identity(found: os.stat_result) -> _Identity:
    return found.st_ino, found.st_size, found.st_mtime_ns
