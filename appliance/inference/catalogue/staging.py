"""Where a version grows before it is one: ``<models>/.incoming/<key>/``. It becomes a version by one rename.

``files/`` will be the version's folder; ``parts/`` are downloads on their way. Whoever holds the lock of the folder
works on it; a process that dies lets go of it.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from appliance.inference.catalogue.durable import make_folder, settle, sync_folder
from appliance.inference.catalogue.manifest import Manifest
from appliance.inference.catalogue.progress import Progress
from appliance.inference.catalogue.repository import MANIFEST
from appliance.inference.errors import ModelBusy, ModelRefused
from appliance.lib.atomic import write_atomically

INCOMING = ".incoming"
_WANTED, _PROGRESS = "wanted", "progress"
_REMOVED = "removed-"
_FORGOTTEN_AFTER = 14 * 86400.0
_NOTE_EVERY = 1.0
_STANDS_STILL = 20.0
"""Seconds without a note after which an import counts as stopped."""


class Staging:
    """One import on its way. Made by ``open_staging``, which holds its lock."""

    def __init__(self, models: Path, folder: Path, owner: tuple[int, int] | None) -> None:
        self.models, self.folder, self.owner = models, folder, owner
        self.files, self.parts = folder / "files", folder / "parts"
        self._noted = float("-inf")

    def note(self, progress: Progress) -> None:
        """How far it is, for whoever looks: now and then, and never at the cost of the import itself."""
        if time.monotonic() - self._noted < _NOTE_EVERY:
            return
        self._noted = time.monotonic()
        said = {
            "stage": progress.stage,
            "done": progress.done,
            "total": progress.total,
            "file": progress.file,
        }
        with contextlib.suppress(OSError):
            own = self.folder / f".{_PROGRESS}"
            own.write_text(json.dumps(said))
            own.replace(self.folder / _PROGRESS)

    def prepare(self, *, afresh: bool) -> None:
        """``afresh``: without what an earlier try left."""
        if afresh:
            self._empty()
        for folder in (self.files, self.parts):
            make_folder(folder, self.owner)

    def _empty(self) -> None:
        for folder in (self.files, self.parts):
            shutil.rmtree(folder, ignore_errors=True)

    def discard(self) -> None:
        """Nothing of it stays."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def place(self, manifest: Manifest) -> Path:
        """Make it the version that the manifest names; gives its folder. Raises ModelRefused where there is one."""
        for file in manifest.files:
            settle(self.files / file.path, self.owner)
        text = manifest.model_dump_json(indent=1).encode() + b"\n"
        write_atomically(self.files / MANIFEST, text, mode=0o644, owner=self.owner)
        for folder in {(self.files / file.path).parent for file in manifest.files} | {self.files}:
            sync_folder(folder)
        target = self.models / manifest.name / manifest.version
        with changing(self.models):
            make_folder(target.parent, self.owner)
            if target.exists():
                raise ModelRefused(
                    f"there is a {manifest.name}@{manifest.version} already, of other content",
                    hint="give another --version",
                )
            self.files.rename(target)
            sync_folder(target.parent)
        self.discard()
        return target


@contextlib.contextmanager
def open_staging(
    models: Path, name: str, version: str, source: str, owner: tuple[int, int] | None
) -> Iterator[Staging]:
    """The same source under the same name is the same place. Raises ModelBusy where somebody is at it."""
    _forget(models)
    key = hashlib.sha256(f"{name}\0{source}".encode()).hexdigest()[:16]
    folder = models / INCOMING / key
    make_folder(folder, owner)
    with _locked(folder) as mine:
        if not mine or not folder.is_dir():
            raise ModelBusy(f"{name} is being imported from there already", hint="wait until it is there")
        (folder / _WANTED).write_text(f"{name}@{version}")
        yield Staging(models, folder, owner)


def is_coming(models: Path, name: str, version: str) -> bool:
    """Whether an import of this model is under way that is to be this version, or whose version follows from it."""
    for folder in _stagings(models):
        with _locked(folder) as mine, contextlib.suppress(OSError):
            if not mine and (folder / _WANTED).read_text() in (f"{name}@{version}", f"{name}@"):
                return True
    return False


def waiting(models: Path) -> list[tuple[str, int]]:
    """What imports have left on their way: ``name@version``, and how many bytes lie there."""
    found = []
    for folder in _stagings(models):
        with contextlib.suppress(OSError):
            size = sum(one.stat().st_size for one in folder.rglob("*") if one.is_file())
            found.append(((folder / _WANTED).read_text().rstrip("@"), size))
    return found


@dataclass(frozen=True, slots=True)
class Coming:
    """An import on its way. ``under_way``: whether it was seen to get on just now; else the same call goes on."""

    wanted: str
    under_way: bool
    stage: str = ""
    done: int = 0
    total: int | None = None
    file: str = ""

    @property
    def per_mille(self) -> int | None:
        return min(1000, 1000 * self.done // self.total) if self.total else None


def coming(models: Path) -> list[Coming]:
    """Without a lock: looking at it must not have an import believe that somebody else is at work."""
    found = []
    for folder in _stagings(models):
        with contextlib.suppress(OSError, ValueError, TypeError):
            wanted = (folder / _WANTED).read_text().rstrip("@")
            note = folder / _PROGRESS
            if not note.exists():
                found.append(Coming(wanted, under_way=time.time() - folder.stat().st_mtime < _STANDS_STILL))
                continue
            fresh = time.time() - note.stat().st_mtime < _STANDS_STILL
            found.append(Coming(wanted, fresh, **json.loads(note.read_text())))
    return found


def take_away(models: Path, folder: Path) -> None:
    """A version disappears at once, and its bytes after that; after a crash they go with the next import."""
    gone = models / INCOMING / f"{_REMOVED}{secrets.token_hex(6)}"
    folder.rename(gone)
    sync_folder(folder.parent)
    with contextlib.suppress(OSError):
        folder.parent.rmdir()  # the last version of that name
    shutil.rmtree(gone, ignore_errors=True)


@contextlib.contextmanager
def changing(models: Path) -> Iterator[None]:
    """One at a time puts a version into the repository, or takes one out."""
    handle = os.open(models / INCOMING, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _forget(models: Path) -> None:
    """What nobody came back for, and what a crash left of a removal."""
    for folder in (models / INCOMING).glob("*") if (models / INCOMING).is_dir() else ():
        if folder.name.startswith(_REMOVED):
            shutil.rmtree(folder, ignore_errors=True)
            continue
        with _locked(folder) as mine, contextlib.suppress(OSError):
            if mine and time.time() - _last_touch(folder) > _FORGOTTEN_AFTER:
                shutil.rmtree(folder, ignore_errors=True)


def _last_touch(folder: Path) -> float:
    return max(one.stat().st_mtime for one in (folder, *folder.rglob("*")))


def _stagings(models: Path) -> list[Path]:
    root = models / INCOMING
    return [one for one in sorted(root.glob("*")) if (one / _WANTED).is_file()] if root.is_dir() else []


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Whether nobody else holds it; ours until the end of the block."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        yield False
        return
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)
