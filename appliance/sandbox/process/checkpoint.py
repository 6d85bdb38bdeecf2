"""The file in which a job keeps its state: put back before it begins, and looked at while it runs.

A file is taken when it is whole: two looks found the same file with the same size and time, or the job ended by
itself and nobody can write there any more. What a killed job was just writing is left alone: a file stands still
also because its writer is dead. So from the moment when the job is asked to end, a file that stands still counts
only once it is known that the job was still there.
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

_Identity = tuple[int, int, int]


class CheckpointWatch:
    """Looks at the file of one job. Gives frames to send, or nothing.

    Between two looks the file is held open: one that was renamed over meanwhile can still be taken, so that a
    job that writes a new one all the time is kept too.
    """

    __slots__ = (
        "_asked_to_end", "_every", "_folder", "_growing", "_held", "_keep_at", "_kept", "_limit", "_noted", "_seen",
        "_whole", "due",
    )  # fmt: skip

    def __init__(self, folder: int, asked: Checkpoint, now: float) -> None:
        self._folder, self._limit, self._every = folder, asked.limit, asked.every
        self._held = -1
        self._seen: _Identity | None = None
        self._kept: _Identity | None = None
        self._noted: set[str] = set()
        self._keep_at = now
        self._asked_to_end = self._whole = self._growing = False
        self.due = now + self._every / _LOOKS
        if asked.initial:
            self._hold()
            self._kept = self._seen  # what was put back is known already

    def look(self, now: float) -> bytes:
        """What is new and whole, at most once in the time that was asked for."""
        self.due = now + self._every / _LOOKS
        before, frames = self._seen, b""
        if now >= self._keep_at and not self._asked_to_end:
            frames = self._take_held()
            if frames:
                self._keep_at = now + self._every
        trouble = self._hold()
        self._whole = self._seen is not None and self._seen == before
        self._growing = _is_another_of(before, self._seen)
        return frames + trouble

    def ending(self, now: float) -> bytes:
        """To be called just before the job is asked to end: what is whole until now, and not kept yet."""
        frames = self._take_held() if self._whole or now >= self.due else b""
        self._asked_to_end = True
        return frames

    def last(self, *, by_itself: bool, outlived: bool = False) -> bytes:
        """The job is over, and nothing of it is left that could write.

        ``outlived``: it was asked to end, did not, and was killed a good while later.
        """
        self.due = math.inf
        if by_itself:
            return self._hold() + self._take_held()
        before, frames = self._seen, b""
        if self._whole and (outlived or not self._asked_to_end):
            frames = self._take_held()
        trouble = self._hold()
        if _is_another_of(before, self._seen) or (
            self._growing and self._seen == before and self._seen != self._kept
        ):
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


def _is_another_of(before: _Identity | None, after: _Identity | None) -> bool:
    """Whether somebody wrote to the file between the two."""
    return before is not None and after is not None and before[0] == after[0] and before != after


def _identity(found: os.stat_result) -> _Identity:
    return found.st_ino, found.st_size, found.st_mtime_ns
