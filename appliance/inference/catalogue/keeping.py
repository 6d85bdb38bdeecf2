"""Looking after what is in the repository: is it still what it was, and away with what nobody needs."""

import re
from dataclasses import dataclass
from pathlib import Path

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.audit.services import append_here
from appliance.inference.catalogue.durable import hash_file
from appliance.inference.catalogue.manifest import NAME, Manifest
from appliance.inference.catalogue.progress import OnProgress, Progress, nobody
from appliance.inference.catalogue.repository import MANIFEST, Repository, Stored
from appliance.inference.catalogue.staging import changing, is_coming, take_away
from appliance.inference.errors import ModelBusy, ModelRefused, ModelUnknown
from appliance.inference.models import Candidate, ServedModel
from appliance.lib.config import get_config
from appliance.safety.read_only import refuse_changes


@dataclass(frozen=True, slots=True)
class Checked:
    """``wrong``: a sentence for each file that is another, missing or too many; empty: all is as it was."""

    manifest: Manifest
    wrong: tuple[str, ...]


def verify(stored: Stored, on_progress: OnProgress = nobody) -> Checked:
    """Read every byte of a version and compare it with its manifest."""
    done = 0
    wrong = []
    for file in stored.manifest.files:

        def count(more: int, name: str = file.path) -> None:
            nonlocal done
            done += more
            on_progress(Progress("checking", done, stored.manifest.size, name))

        try:
            digest = hash_file(stored.folder / file.path, count)
        except OSError as error:
            wrong.append(f"{file.path} cannot be read: {error.strerror}")
            continue
        if digest != file.sha256:
            wrong.append(f"{file.path} has another content than when it came")
    known = {file.path for file in stored.manifest.files} | {MANIFEST}
    for path in sorted(stored.folder.rglob("*")):
        name = path.relative_to(stored.folder).as_posix()
        if not path.is_dir() and name not in known:
            wrong.append(f"{name} does not belong to it")
    return Checked(stored.manifest, tuple(wrong))


def split_name(text: str) -> tuple[str, str]:
    """``name@version``. Raises ModelRefused."""
    name, _, version = text.partition("@")
    if not re.fullmatch(NAME, name) or not re.fullmatch(NAME, version):
        raise ModelRefused("a version of a model is NAME@VERSION", hint="manage.py models stored shows them")
    return name, version


def remove_version(name: str, version: str, by: Principal, home: Path | None = None) -> None:
    """Take a version off the disk. Raises NotAllowed, ReadOnlyNow, ModelUnknown, ModelBusy (it is needed)."""
    by.require(Ability.MANAGE_MODELS)
    refuse_changes(by, home)
    models = (home or get_config().home.path) / "models"
    folder = Repository(models).root / name / version
    if is_coming(models, name, version):
        raise ModelBusy(
            f"{name}@{version} is being imported", hint="wait until it is there, or end the import"
        )
    if not (folder / MANIFEST).is_file():
        raise ModelUnknown(f"there is no model {name}@{version} on this box", hint="manage.py models stored")
    with changing(models):
        _refuse_needed(name, version)
        take_away(models, folder)
    append_here("model.remove", by.name, f"model/{name}", {"version": version})


def _refuse_needed(name: str, version: str) -> None:
    served = ServedModel.objects.filter(name=name).first()
    if served is not None and version == served.version:
        raise ModelBusy(f"{name}@{version} is served", hint="serve another version first, or none")
    if Candidate.objects.filter(name=name, version=version).exists():
        raise ModelBusy(f"{name}@{version} is to be tested", hint=f"manage.py models drop {name}")
    if served is not None and version == served.previous:
        raise ModelBusy(
            f"{name}@{version} is what {name} goes back to", hint="it can go once that is another one"
        )
