"""A model as a command line names it: a folder, a file, or one that lies on the box already."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from appliance.inference.catalogue.durable import hash_file
from appliance.inference.catalogue.inspecting import inspect_path
from appliance.inference.catalogue.manifest import NAME, Manifest, ModelFile
from appliance.inference.catalogue.progress import OnProgress, Progress, nobody
from appliance.inference.catalogue.reading.facts import Facts
from appliance.inference.catalogue.reading.folder import PROGRAMS
from appliance.inference.catalogue.repository import Repository, Stored
from appliance.inference.errors import ModelRefused, ModelUnknown
from appliance.lib.located.issues import suggestion

_PART = re.compile(r"-\d{5}-of-\d{5}$")
_UNHASHED, _COMING = "0" * 64, "new"
_GET_ANOTHER = "take it as GGUF, or as safetensors: most models are published so too"


@dataclass(frozen=True, slots=True)
class Given:
    """``manifest`` of one that is still to be imported from ``path`` is a draft, without version and digests.

    ``path`` is None where the model lies on the box already.
    """

    manifest: Manifest
    folder: Path
    path: Path | None = None

    @property
    def is_here(self) -> bool:
        return self.path is None

    def __str__(self) -> str:
        return f"{self.manifest.name}@{self.manifest.version}" if self.is_here else self.manifest.name


def find_given(
    text: str, repository: Repository, *, name: str = "", on_progress: OnProgress = nobody
) -> Given:
    """What ``text`` means; a path before a name. Changes nothing.

    Files whose content lies on the box already, under ``name`` or where none is given under any, are that model.
    Raises ModelRefused, ModelUnknown.
    """
    path = Path(text).expanduser()
    try:
        there = path.exists()
    except OSError as error:
        raise ModelRefused(f"{path} cannot be looked at: {error.strerror}") from error
    if there:
        return _of_files(path.resolve(), repository, name, on_progress)
    word, _, version = text.partition("@")
    if "/" in text or path.suffix in (".gguf", *PROGRAMS) or not re.fullmatch(NAME, word):
        raise ModelRefused(
            f"there is no {path.absolute()}",
            hint="a folder with a model, a .gguf file, or NAME or NAME@VERSION of a model of this box",
        )
    return _of_name(word, version, repository)


def name_for(path: Path) -> str:
    """What the model of these files is called on the box, where nobody says. Raises ModelRefused."""
    stem = path.name if path.is_dir() else _PART.sub("", path.stem)
    found = re.sub(r"[^a-z0-9._-]+", "-", stem.lower())[:100].strip("-._")
    if not re.fullmatch(NAME, found):
        raise ModelRefused(f"no name of a model follows from {path}", hint="give one: --name NAME")
    return found


def _of_files(path: Path, repository: Repository, name: str, on_progress: OnProgress) -> Given:
    if path.is_file() and path.suffix.lower() in PROGRAMS:
        raise ModelRefused(
            f"{path} is of a format that can run code when it is read, which is never done", hint=_GET_ANOTHER
        )
    if name and not re.fullmatch(NAME, name):
        raise ModelRefused("a name is a-z, 0-9, `.`, `_` and `-`, and begins with a letter or a digit")
    facts = inspect_path(path)
    folder = path if path.is_dir() else path.parent
    try:
        draft = _draft(name or name_for(path), folder, facts)
        same = _same(draft, folder, repository, name, on_progress)
    except OSError as error:
        raise ModelRefused(f"a file of the model cannot be read: {error.strerror}") from error
    return Given(same.manifest, same.folder) if same else Given(draft, folder, path)


def _draft(name: str, folder: Path, facts: Facts) -> Manifest:
    said = facts.model_dump(exclude={"files", "left_out"})
    files = [ModelFile(path=one, size=(folder / one).stat().st_size, sha256=_UNHASHED) for one in facts.files]
    return Manifest.model_validate(
        {**said, "name": name, "version": _COMING, "files": files, "added_at": datetime.now(UTC)}
    )


def _same(
    draft: Manifest, folder: Path, repository: Repository, name: str, on_progress: OnProgress
) -> Stored | None:
    """The version of the same content. Bytes are read only where one has files of the same names and sizes."""
    sizes = {file.path: file.size for file in draft.files}
    alike = [
        one
        for one in repository
        if {file.path: file.size for file in one.manifest.files} == sizes and name in ("", one.manifest.name)
    ]
    if not alike:
        return None
    done, digests = 0, {}
    for file in draft.files:

        def count(more: int, path: str = file.path) -> None:
            nonlocal done
            done += more
            on_progress(Progress("comparing", done, draft.size, path))

        digests[file.path] = hash_file(folder / file.path, count)
    return next(
        (one for one in alike if {file.path: file.sha256 for file in one.manifest.files} == digests), None
    )


def _of_name(name: str, version: str, repository: Repository) -> Given:
    versions = repository.versions(name)
    if not versions:
        known = sorted({one.manifest.name for one in repository})
        hint = suggestion(name, known) or "a path of files, or a name: manage.py models stored shows them"
        raise ModelUnknown(f"there is neither a file nor a model {name!r} on this box", hint=hint)
    stored = repository.read(name, version or versions[-1])
    return Given(stored.manifest, stored.folder)
