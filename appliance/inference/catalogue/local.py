"""A model that lies on the box already: copied, or taken over where it lies."""

import errno
import os
from pathlib import Path

from appliance.inference.catalogue.durable import copy_file, hash_file, make_folder
from appliance.inference.catalogue.inspecting import inspect_path
from appliance.inference.catalogue.manifest import LeftOut, ModelFile
from appliance.inference.catalogue.progress import OnProgress, Progress
from appliance.inference.catalogue.space import FULL, Space, disk_full
from appliance.inference.catalogue.staging import Staging
from appliance.inference.errors import ModelRefused

_NO_LINK = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.EACCES)


def take(
    path: Path, only: str, staging: Staging, space: Space, on_progress: OnProgress, *, move: bool
) -> tuple[list[ModelFile], LeftOut]:
    """Bring the files of the model at ``path`` into ``staging``; with ``move`` by a second name for each, where the
    file system can: a crash loses nothing. Raises ModelRefused, ImportInterrupted."""
    facts = inspect_path(path, only)
    folder = path if path.is_dir() else path.parent
    try:
        files = _bring(folder, facts.files, staging, space, on_progress, move=move)
    except OSError as error:
        if error.errno in FULL:
            raise disk_full("nothing more can be written") from error
        raise ModelRefused(f"a file of the model cannot be read: {error.strerror}") from error
    return files, facts.left_out


def _bring(
    folder: Path,
    names: tuple[str, ...],
    staging: Staging,
    space: Space,
    on_progress: OnProgress,
    *,
    move: bool,
) -> list[ModelFile]:
    total, done = sum((folder / name).stat().st_size for name in names), 0
    if total > space.largest:
        raise ModelRefused(f"the model has {total} bytes, and {space.largest} are the most")
    taken, room_known = [], False
    for name in names:

        def count(more: int, name: str = name) -> None:
            nonlocal done
            done += more
            on_progress(Progress("copying", done, total, name))

        target = staging.files / name
        make_folder(target.parent, staging.owner)
        if move and _linked(folder / name, target):
            digest = hash_file(target, count)
        else:
            if not room_known:
                space.require(staging.folder, total - done)
                room_known = True
            digest = copy_file(folder / name, target, count)
        taken.append(ModelFile(path=name, size=target.stat().st_size, sha256=digest))
    return taken


def _linked(source: Path, target: Path) -> bool:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno in _NO_LINK:
            return False
        raise
    return True


def give_up(path: Path, files: tuple[ModelFile, ...]) -> None:
    """After a move: the model has its new place. What cannot be removed stays."""
    folder = path if path.is_dir() else path.parent
    for file in files:
        (folder / file.path).unlink(missing_ok=True)
