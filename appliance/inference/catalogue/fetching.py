"""One file from a server outside, which may cut the line, lie, or change the file between two tries.

What came is kept in a part file. Beside it stands how much of it is surely on the disk and of which file it is (ETag,
Last-Modified, size; RFC 9110, section 13.1.5): it goes on from there only where the server says that it is still that.
"""

import contextlib
import hashlib
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from appliance.inference.catalogue.outside import Outside
from appliance.inference.catalogue.progress import OnProgress, Progress
from appliance.inference.catalogue.space import FULL, Space, disk_full
from appliance.inference.errors import ImportInterrupted, ModelRefused
from appliance.lib.atomic import write_atomically

SYNC_EVERY = 32 << 20
_BLOCK, _GIVEN_BACK = 1 << 20, 256 << 10
_FAILURES, _RESTARTS = 5, 3
"""In a row without a byte more, and how often the file may be another one on the way."""
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")


@dataclass(frozen=True, slots=True)
class Remote:
    """``name``: in the version's folder. ``size`` and ``sha256`` where they are known beforehand."""

    url: str
    name: str
    size: int | None = None
    sha256: str = ""
    headers: tuple[tuple[str, str], ...] = ()


class _Note(BaseModel):
    """Of a part file. ``safe``: bytes that were on the disk when this was written."""

    model_config = ConfigDict(frozen=True)

    etag: str = ""
    modified: str = ""
    total: int | None = None
    safe: int = 0

    @property
    def validator(self) -> str:
        """For ``If-Range``, which takes no weak ETag."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.modified


class _Cut(Exception):
    """Not all came; what came is kept."""


class _Other(Exception):
    """The server has another file now, or cannot go on in the middle."""


class Fetcher:
    """``watch`` is called again and again, and may raise to end it. ``pause`` waits that many seconds."""

    def __init__(
        self,
        outside: Outside,
        parts: Path,
        space: Space,
        watch: Callable[[], None],
        on_progress: OnProgress,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._outside, self._parts, self._space = outside, parts, space
        self._watch, self._on_progress, self._pause = watch, on_progress, pause

    def fetch(self, remote: Remote, target: Path) -> str:
        """Gives the SHA-256 of what lies at ``target`` then. Raises ModelRefused, ImportInterrupted."""
        part = self._parts / hashlib.sha256(f"{remote.url}\0{remote.name}".encode()).hexdigest()[:20]
        with _Part(part) as open_part:
            try:
                self._fill(open_part, remote)
            except OSError as error:
                if error.errno in FULL:
                    raise disk_full("nothing more can be written") from error
                raise
            found = open_part.digest
            if remote.sha256 and found != remote.sha256:
                open_part.restart()
                raise ModelRefused(
                    f"{remote.name} is another file: its SHA-256 is {found}, and {remote.sha256} is wanted",
                    hint="compare the digest with its publisher's; nothing of it was kept",
                )
            open_part.finish(target)
        return found

    def _fill(self, part: "_Part", remote: Remote) -> None:
        failures = restarts = 0
        most = part.size
        while True:
            try:
                self._once(part, remote)
                return
            except _Other:
                part.restart()
                restarts += 1
                if restarts > _RESTARTS:
                    raise ImportInterrupted("the file changes on the server while it is read") from None
            except (_Cut, httpx.TransportError) as error:
                failures = 0 if part.size > most else failures + 1
                most = max(most, part.size)
                part.save()
                if failures >= _FAILURES:
                    raise ImportInterrupted(
                        f"the server does not go on: {error or type(error).__name__}",
                        hint="say the same again later: it goes on from here",
                    ) from error
                self._watch()
                self._pause(min(2.0**failures, 30.0))

    def _once(self, part: "_Part", remote: Remote) -> None:
        headers = dict(remote.headers)
        if part.size and (part.note.validator or remote.sha256):
            headers["Range"] = f"bytes={part.size}-"
            if part.note.validator:
                headers["If-Range"] = part.note.validator
        elif part.size:
            part.restart()
        with self._outside.get(remote.url, headers) as answer:
            total = self._begin(part, remote, answer)
            if total is not None and part.size >= total:
                return
            self._read(part, remote, answer, total)
        if total is not None and part.size != total:
            raise _Cut("the connection was cut")

    def _begin(self, part: "_Part", remote: Remote, answer: httpx.Response) -> int | None:
        """Check the answer against what is there; gives the size of the whole file, where it is known."""
        status = answer.status_code
        if status in _PASSING:
            raise _Cut(f"it answers {status}")
        if status == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE and part.size:
            if part.size == (part.note.total or remote.size):
                return part.size
            raise _Other
        if status not in (httpx.codes.OK, httpx.codes.PARTIAL_CONTENT):
            said = f"the server answers {status} for {remote.name}"
            if part.size:  # an address that was good for a while: what came by it is kept
                raise ImportInterrupted(said, hint=_hint(status))
            raise ModelRefused(said, hint=_hint(status))
        if answer.headers.get("content-encoding", "identity") != "identity":
            raise ModelRefused("the server packs the file on its way, so that it could not be resumed")
        note = _noted(answer)
        if status == httpx.codes.PARTIAL_CONTENT:
            total: int | None = _resumed(part, note, answer)
        else:
            part.restart()
            total = note.total
        if total is None:
            total = remote.size
        elif remote.size is not None and total != remote.size:
            raise ModelRefused(f"{remote.name} has {total} bytes on the server, and {remote.size} are wanted")
        if total is not None and total > self._space.largest:
            raise ModelRefused(f"{remote.name} has {total} bytes, and {self._space.largest} are the most")
        part.note = note.model_copy(update={"total": total, "safe": part.note.safe})
        self._space.require(self._parts, (total or 0) - part.size)
        return total

    def _read(self, part: "_Part", remote: Remote, answer: httpx.Response, total: int | None) -> None:
        # In the pieces that come: what a gathered block holds would be lost when the line is cut.
        for block in answer.iter_raw():
            part.add(block)
            self._on_progress(Progress("downloading", part.size, total, remote.name))
            if part.size > (total if total is not None else self._space.largest):
                part.restart()
                raise ModelRefused(f"the server sends more of {remote.name} than it may")
            if part.unsaved >= SYNC_EVERY:
                part.save()
                self._watch()
                self._space.require(self._parts, (total or part.size) - part.size)


class _Part:
    """The file that grows, with the digest of what is in it."""

    def __init__(self, path: Path) -> None:
        self._path, self._note_path = path, path.with_suffix(".json")
        self.note = _Note()
        self.size = self.unsaved = 0
        self._file: BinaryIO
        self._hash = hashlib.sha256()

    def __enter__(self) -> "_Part":
        with contextlib.suppress(OSError, ValidationError):
            self.note = _Note.model_validate_json(self._note_path.read_bytes())
        self._file = os.fdopen(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644), "r+b", 0)
        # What was not yet on the disk may be anything after a power cut.
        self._file.truncate(min(self.note.safe, self._file.seek(0, os.SEEK_END)))
        self._file.seek(0)
        while block := self._file.read(_BLOCK):
            self._hash.update(block)
            self.size += len(block)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            self.save()
        except OSError:  # on a full disk there is no room for the note: the part makes some
            with contextlib.suppress(OSError):
                self.size = max(0, self.size - _GIVEN_BACK)
                self._file.truncate(self.size)
                self.save()
        self._file.close()

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()

    def add(self, block: bytes) -> None:
        rest = memoryview(block)
        while rest:
            written = self._file.write(rest) or 0
            self._hash.update(rest[:written])
            self.size += written
            self.unsaved += written
            rest = rest[written:]

    def save(self) -> None:
        """Until here it is on the disk, and known to be."""
        if not self._path.exists():
            return
        os.fsync(self._file.fileno())
        self.note = self.note.model_copy(update={"safe": self.size})
        write_atomically(self._note_path, self.note.model_dump_json().encode(), mode=0o644)
        self.unsaved = 0

    def restart(self) -> None:
        """From the first byte."""
        self._file.seek(0)
        self._file.truncate()
        self.size = self.unsaved = 0
        self._hash = hashlib.sha256()
        self.note = _Note()

    def finish(self, target: Path) -> None:
        self.save()
        self._path.rename(target)
        self._note_path.unlink(missing_ok=True)


def _noted(answer: httpx.Response) -> _Note:
    length = answer.headers.get("content-length", "")
    return _Note(
        etag=answer.headers.get("etag", "")[:200],
        modified=answer.headers.get("last-modified", "")[:100],
        total=int(length) if length.isdigit() and len(length) < 20 else None,
    )


def _resumed(part: _Part, note: _Note, answer: httpx.Response) -> int:
    """The whole size; raises _Other for the middle of another file, or of another place in it."""
    found = _CONTENT_RANGE.fullmatch(answer.headers.get("content-range", ""))
    if found is None or int(found[1]) != part.size:
        raise _Other
    known = part.note
    total = int(found[2])
    if known.total not in (None, total) or (known.etag and note.etag and known.etag != note.etag):
        raise _Other
    if known.modified and note.modified and known.modified != note.modified:
        raise _Other
    return total


def _hint(status: int) -> str:
    if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        return "it wants to know who asks: --token secret:NAME"
    return "look whether the address is right"
