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
    """Looks at the file of one job. Gives frames to send, or nothing."""

    __slots__ = ("_every", "_folder", "_keep_at", "_kept", "_limit", "_noted", "_seen", "due")

    def __init__(self, folder: int, asked: Checkpoint, now: float) -> None:
        self._folder, self._limit, self._every = folder, asked.limit, asked.every
        self._seen: _Identity | None = None
        self._noted: set[str] = set()
        self._keep_at = now
        self.due = now + self._every / _LOOKS
        # What was put back is known already.
        self._kept = self._identity()[0] if asked.initial else None

    def look(self, now: float) -> bytes:
        """What is new and whole, at most once in the time that was asked for."""
        self.due = now + self._every / _LOOKS
        found, trouble = self._identity()
        settled, self._seen = found is not None and found == self._seen, found
        if trouble:
            return self._note(trouble)
        if not settled or found == self._kept or now < self._keep_at:
            return b""
        self._keep_at = now + self._every
        return self._take(found)

    def last(self, *, by_itself: bool) -> bytes:
        """The job is over, and nothing of it is left that could write."""
        self.due = math.inf
        found, trouble = self._identity()
        if trouble:
            return self._note(trouble)
        if found is None or found == self._kept:
            return b""
        if not by_itself and found != self._seen:
            return self._note(
                "the checkpoint was being written when the command was ended: not kept, the one before stays"
            )
        return self._take(found)

    def _identity(self) -> tuple[_Identity | None, str]:
        """Which file with which content lies there, or why it cannot be a checkpoint."""
        try:
            found = os.stat(NAME, dir_fd=self._folder, follow_symlinks=False)
        except OSError:
            return None, ""
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            return None, f"${VARIABLE} is not a plain file: not kept"
        if found.st_size > self._limit:
            return None, (
                f"a checkpoint of more than {self._limit} bytes is not kept: this one has {found.st_size};"
                " the one before stays"
            )
        if not found.st_size:
            return None, ""
        return (found.st_ino, found.st_size, found.st_mtime_ns), ""

    def _take(self, wanted: _Identity | None) -> bytes:
        try:
            fd = os.open(NAME, _OPEN, dir_fd=self._folder)
        except OSError as error:
            return self._note(f"the checkpoint cannot be read: {error.strerror}")
        try:
            content = bytearray()
            while len(content) <= self._limit and (piece := os.read(fd, 1 << 20)):
                content += piece
        except OSError as error:
            return self._note(f"the checkpoint cannot be read: {error.strerror}")
        finally:
            os.close(fd)
        if self._identity()[0] != wanted or len(content) > self._limit:
            return b""  # written to meanwhile: the next look decides
        self._kept = wanted
        return wire.frame(wire.CHECKPOINT, bytes(content))

    def _note(self, text: str) -> bytes:
        if text in self._noted:
            return b""
        self._noted.add(text)
        return wire.frame(wire.NOTE, text.encode())
