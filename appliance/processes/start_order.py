"""A box that is to start with a model and chat platforms: what can be wrong about it is looked for before it does."""

import os
from dataclasses import dataclass
from pathlib import Path

from appliance.bridges.errors import PlatformsInvalid, Problem
from appliance.bridges.platforms import PlatformEntry, parse_platforms
from appliance.bridges.secrets import resting_form, secrets_of, variable
from appliance.bridges.services import text_of
from appliance.inference.backends.contract import Plan
from appliance.inference.catalogue.given import Given, find_given
from appliance.inference.catalogue.progress import OnProgress, nobody
from appliance.inference.catalogue.repository import Repository
from appliance.inference.catalogue.space import Space
from appliance.inference.errors import EngineAbsent
from appliance.inference.planned import plan_here, why_it_does_not_fit
from appliance.inference.services import Serving, profile_for
from appliance.lib.config import Config
from appliance.lib.errors import MillwrightError
from appliance.lib.home import HomeUnusable
from appliance.lib.jsontypes import JsonObject
from appliance.processes import lock
from appliance.processes.guard.presence import absence
from appliance.processes.privilege import Privilege, user_name
from appliance.processes.startup import check_ports
from appliance.safety.errors import ReadOnlyNow
from appliance.safety.stop import Level, StopFile
from appliance.sandbox.docker.model_cache import WRITABLE_BY_OTHERS


class CacheUnusable(MillwrightError):
    code = "stack.cache_unusable"


@dataclass(frozen=True, slots=True)
class StartOrder:
    """What is asked for. ``model``: a path, or a name; ``name``: what an imported one is called."""

    model: str
    serving: Serving
    name: str = ""
    platforms: Path | None = None


@dataclass(frozen=True, slots=True)
class StartPlan:
    """What will be done. ``fits`` is empty, or says why the model has no room at the moment."""

    given: Given
    plan: Plan
    fits: str
    platforms: tuple[PlatformEntry, ...]
    text: str
    """Of the platforms' file, as it was checked."""
    cache: Path
    address: str

    def as_json(self) -> JsonObject:
        model, profile = self.given.manifest, self.plan.profile
        return {
            "model": {
                "name": model.name,
                "version": model.version if self.given.is_here else None,
                "here": self.given.is_here,
                "import_from": str(self.given.path) if self.given.path else None,
                "format": model.format.value,
                "size": model.size,
                "quantisation": model.quantisation,
                "engine": profile.engine.value,
                "context": profile.context,
                "slots": profile.slots,
                "device": profile.device,
                "does_not_fit": self.fits,
            },
            "platforms": [
                {
                    "name": entry.name,
                    "kind": entry.factory.kind,
                    "moved_to_secrets": list(moved(entry)),
                    "unset": list(unset(entry)),
                    "note": entry.factory.unavailable,
                }
                for entry in self.platforms
            ],
            "cache": str(self.cache),
            "address": self.address,
        }


def check_order(order: StartOrder, config: Config, on_progress: OnProgress = nobody) -> StartPlan:
    """Changes nothing. Raises MillwrightError with the first thing that is wrong, and what to do about it."""
    _check_box(config)
    text, entries = _read_platforms(order.platforms)
    check_cache(config.cache)
    home = config.home
    given = find_given(order.model, Repository(home.models), name=order.name, on_progress=on_progress)
    if not given.is_here:
        Space().require(home.path, given.manifest.size)
    plan = plan_here(config, given.manifest, given.folder, profile_for(given.manifest, order.serving))
    if plan.image and (why := absence(config)):
        raise EngineAbsent(
            f"{plan.profile.engine.value} runs in a container, and there is {why}",
            hint="install Docker (apt-get install docker.io) and start it; docs/how-to/containers.md",
        )
    return StartPlan(given, plan, why_it_does_not_fit(plan), entries, text, config.cache, config.public_url)


def check_cache(folder: Path) -> None:
    """Whether it is, or can be made, a folder of whoever starts the box. Raises CacheUnusable."""
    try:
        nearest = next(one for one in (folder, *folder.parents) if one.exists() or one.is_symlink())
    except OSError as error:
        raise CacheUnusable(
            f"{folder} cannot be looked at: {error.strerror}", hint="name a folder that this user can write"
        ) from error
    if not nearest.is_dir() or (nearest == folder and folder.is_symlink()):
        raise CacheUnusable(f"{nearest} is no folder, so that {folder} can be none", hint="name another one")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise CacheUnusable(
            f"{folder} cannot be used: {user_name(os.geteuid())} may not write in {nearest}",
            hint="change its owner, or name another one",
        )
    if nearest != folder:
        return
    state = folder.stat()
    if state.st_uid != os.geteuid():
        raise CacheUnusable(
            f"{folder} belongs to {user_name(state.st_uid)}, and the box is started by "
            f"{user_name(os.geteuid())}: who owns it could exchange what engines load from it",
            hint="change its owner, or name another one",
        )
    if state.st_mode & WRITABLE_BY_OTHERS:
        raise CacheUnusable(
            f"{folder} may be written by others than its owner, who could exchange what engines load from it",
            hint=f"`chmod go-w {folder}`, or name a folder of its own",
        )


def moved(entry: PlatformEntry) -> tuple[str, ...]:
    """Places whose value stands in the file itself, and becomes a secret of the box."""
    return tuple(resting_form(entry.config, entry.name)[1])


def unset(entry: PlatformEntry) -> tuple[str, ...]:
    """Variables that the entry names and that are not set here; they may be secrets of the box already."""
    named = {one.variable for _, one in secrets_of(entry.config) if one.variable}
    return tuple(sorted(one for one in named if not variable(one)))


def _check_box(config: Config) -> None:
    home = config.home
    if StopFile(home.path).level() is Level.READ_ONLY:  # the database, which says more, is not there yet
        raise ReadOnlyNow(
            "the all-stop stands at read only; nothing can be changed until it is released",
            hint="start the box with `manage.py up` where it does not run, and release the stop there",
        )
    running = lock.holder(home)
    if running is not None:
        raise lock.AlreadyRunning(
            f"the box of {home.path} is running already, as process {running}",
            hint="make down stops it; while it runs, `manage.py models import`, `models serve` and `platforms load` "
            "do the same",
        )
    Privilege.of(home)
    if not os.access(home.path, os.W_OK | os.X_OK):
        raise HomeUnusable(
            f"{user_name(os.geteuid())} may not write in the home {home.path}",
            hint="set MILLWRIGHT_HOME to a folder that this user can write",
        )
    check_ports(config)


def _read_platforms(file: Path | None) -> tuple[str, tuple[PlatformEntry, ...]]:
    if file is None:
        return "", ()
    try:
        text = text_of(file.read_bytes(), str(file))
    except OSError as error:
        raise PlatformsInvalid([Problem("", f"cannot be read: {error.strerror}")], str(file)) from error
    return text, tuple(parse_platforms(text, str(file)))
