"""The files of the folder ``knowledge`` of the home. Bounded; nothing outside of it is ever opened."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from appliance.lib.said import Said, say

MOST_FILES = 2_000
LARGEST = 1 << 20
"""Bytes of one file."""
MOST_BYTES = 32 << 20
"""Bytes of all together."""
DEEPEST = 8
ENDING = ".md"


@dataclass(frozen=True, slots=True)
class Mark:
    """What a file was when it was last read: while it is that, nobody reads it again."""

    mtime_ns: int
    size: int
    inode: int


@dataclass(frozen=True, slots=True)
class Trouble:
    """A file that is not searched, and why."""

    file: str
    why: Said


@dataclass(slots=True)
class Listing:
    """``files``: each by its path below the folder, as ``pumps/restart.md``."""

    files: dict[str, Mark] = field(default_factory=dict)
    troubles: list[Trouble] = field(default_factory=list)
    bytes: int = 0


def listing(root: Path) -> Listing:
    """What is there now, in the order of the names. A folder that is missing has nothing in it."""
    found = Listing()
    real = Path(os.path.realpath(root))
    for entry, name in _walk(root, "", 0, found):
        if len(found.files) >= MOST_FILES:
            found.troubles.append(Trouble(name, say("there are more than %(most)s files", most=MOST_FILES)))
            break
        trouble = _take(entry, name, real, found)
        if trouble is not None:
            found.troubles.append(Trouble(name, trouble))
    return found


def _walk(folder: Path, before: str, depth: int, found: Listing) -> Iterator[tuple["os.DirEntry[str]", str]]:
    """Markdown files, and links that end like one; folders that are links are not gone into."""
    try:
        with os.scandir(folder) as entries:
            inside = sorted(entries, key=lambda one: one.name)
    except FileNotFoundError:
        return
    except OSError as error:
        found.troubles.append(Trouble(before or ".", say("cannot be read: %(why)s", why=error.strerror)))
        return
    for entry in inside:
        name = f"{before}{entry.name}"
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            if depth < DEEPEST:
                yield from _walk(Path(entry.path), f"{name}/", depth + 1, found)
        elif entry.is_symlink() and Path(entry.path).is_dir():
            found.troubles.append(Trouble(name, say("a link to a folder is not followed")))
        elif entry.name.endswith(ENDING):
            yield entry, name


def _take(entry: "os.DirEntry[str]", name: str, real: Path, found: Listing) -> Said | None:
    """Puts it on the list; gives the reason where it does not belong there."""
    if not name.isprintable():
        return say("its name is no text that can be shown: give it another one")
    try:
        if entry.is_symlink() and not Path(os.path.realpath(entry.path)).is_relative_to(real):
            return say("a link that leads out of the folder")
        state = entry.stat()
    except OSError as error:
        return say("cannot be read: %(why)s", why=error.strerror)
    if not stat.S_ISREG(state.st_mode):
        return say("no plain file")
    if state.st_size > LARGEST:
        return say("larger than %(most)s KiB", most=LARGEST // 1024)
    if found.bytes + state.st_size > MOST_BYTES:
        return say("all files together are larger than %(most)s MiB", most=MOST_BYTES >> 20)
    found.bytes += state.st_size
    found.files[name] = Mark(state.st_mtime_ns, state.st_size, state.st_ino)
    return None


class Unreadable(Exception):
    """A file that cannot be taken, and why."""

    def __init__(self, why: Said) -> None:
        super().__init__(why)
        self.why = why


def text_of(root: Path, name: str) -> str:
    """The text of a listed file. Raises Unreadable."""
    path = Path(os.path.realpath(root / name))
    if not path.is_relative_to(os.path.realpath(root)):
        raise Unreadable(say("a link that leads out of the folder"))
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise Unreadable(say("cannot be read: %(why)s", why=error.strerror)) from error
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise Unreadable(say("no plain file"))
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise Unreadable(say("larger than %(most)s KiB", most=LARGEST // 1024))
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise Unreadable(say("not UTF-8: a byte in line %(line)s is no character", line=line)) from error
