"""A tool of models, run in a container by way of guard: only what it has made stays, once that was read."""

import asyncio
import contextlib
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from appliance.inference.catalogue.durable import copy_file, make_folder
from appliance.inference.catalogue.inspecting import inspect_path
from appliance.inference.catalogue.progress import OnProgress, Progress, nobody
from appliance.inference.catalogue.reading.facts import Facts
from appliance.inference.catalogue.space import FULL, Space, disk_full
from appliance.inference.catalogue.staging import INCOMING
from appliance.inference.errors import EngineAbsent, ImportInterrupted, ModelRefused, ModelUnavailable
from appliance.inference.quantise.containers import CALIBRATION, INPUT, OUTPUT, ToolJob
from appliance.lib.home import Home, owner_of
from appliance.sandbox.docker.client import GuardClient, ModelTools
from appliance.sandbox.errors import JobLost, JobRefused, SandboxUnavailable
from appliance.sandbox.ports import Job, Limits, Outcome

LONGEST = 24 * 3600.0
"""Seconds that a tool may take."""
_NEW, _JOB = "new-", "job-"
_LAST_WORDS = 600
_PERCENT = re.compile(r"(\d{1,3})%\|")
_FULL = "No space left on device"
_READ_BY_ALL = 0o004


@dataclass(frozen=True, slots=True)
class Made:
    """What a tool has made, for as long as it is looked at; ``facts`` are of ``folder``."""

    folder: Path
    facts: Facts


def require_tools(home: Home) -> None:
    """Whether containers can be had here. Raises EngineAbsent with what to do."""
    asyncio.run(_require_guard(home))


@contextlib.contextmanager
def made_by(
    job: ToolJob,
    given: Path,
    facts: Facts,
    home: Home,
    *,
    space: Space,
    needs: int,
    device: Mapping[str, object] | None = None,
    within: float = LONGEST,
    on_progress: OnProgress = nobody,
) -> Iterator[Made]:
    """Run ``job`` on the model of the folder ``given``; ``needs``: bytes that it will write.

    Raises EngineAbsent (guard, or the container engine, is away), ModelRefused (what it said when it failed),
    ImportInterrupted (the disk), ModelUnavailable (it was killed, or guard went away).
    """
    with _own_place(home) as place:
        try:
            space.require(place, needs + sum((given / name).stat().st_size for name in facts.files))
            source = _brought(given, facts.files, place / "input", on_progress)
            target = _writable(place / "output", home)
        except OSError as error:
            if error.errno in FULL:
                raise disk_full("nothing more can be written") from error
            raise ModelRefused(f"{error.filename} cannot be read or written: {error.strerror}") from error
        places = {INPUT: source, OUTPUT: target} | _calibration(job)
        outcome = asyncio.run(_run(job, places, home, device, within, on_progress))
        _check(job, outcome)
        yield Made(target, _looked_at(target, job))


def keep(made: Made, output: Path) -> list[Path]:
    """Copy what was made to a folder of its own: all of it, or nothing. Raises ModelRefused, ImportInterrupted."""
    targets = {output / name: made.folder / name for name in made.facts.files}
    if there := next((one for one in targets if one.exists()), None):
        raise ModelRefused(f"{there} is there already", hint="give another --output, or remove it")
    try:
        for target, source in targets.items():
            make_folder(target.parent, None)
            copy_file(source, target, lambda _: None)
    except BaseException as error:
        for target in targets:
            target.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise ImportInterrupted(f"{error.filename} cannot be written: {error.strerror}") from error
        raise
    return list(targets)


@contextlib.contextmanager
def _own_place(home: Home) -> Iterator[Path]:
    """A folder for one job. What a caller that was killed has left of its own goes before: nobody holds it any more."""
    root = home.models / INCOMING
    try:
        make_folder(root, owner_of(home.path))
    except OSError as error:
        raise ModelRefused(f"the model repository cannot be written: {error.strerror}") from error
    for left in root.glob(f"{_JOB}*"):
        with contextlib.suppress(OSError), _held(left):
            shutil.rmtree(left, ignore_errors=True)
    made = root / f"{_NEW}{secrets.token_hex(6)}"
    place = made.with_name(made.name.replace(_NEW, _JOB))
    make_folder(made, owner_of(root))
    try:
        with _held(made):
            made.rename(place)  # from here on it is looked for, and held
            yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Raises OSError where somebody else holds it."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


async def _require_guard(home: Home) -> None:
    why, hint = "guard does not run", "start the box, as root or as a user of the group docker"
    try:
        found = await GuardClient(home.guard_socket).ask("probe")
    except (SandboxUnavailable, JobRefused):
        pass
    else:
        if found.get("healthy"):
            return
        why = str(found.get("absent") or found.get("message"))
        hint = "install Docker (apt-get install docker.io), start it, and start the box again"
    raise EngineAbsent(
        f"a model of safetensors is worked on by a tools container, which needs a container engine: {why}",
        hint=f"{hint}; or --show-job prints the job, to run it elsewhere",
    )


def _brought(given: Path, names: Sequence[str], target: Path, on_progress: OnProgress) -> Path:
    """Into a folder of the repository's, where containers may read: by a second name where everybody may read the
    file, else as a copy."""
    total, done = sum((given / name).stat().st_size for name in names), 0
    for name in names:
        source, to = given / name, target / name
        make_folder(to.parent, None)
        if not _linked(source, to):
            copy_file(source, to, lambda _: None)
            to.chmod(0o644)
        done += to.stat().st_size
        on_progress(Progress("copying", done, total, name))
    return target


def _linked(source: Path, target: Path) -> bool:
    if not source.stat().st_mode & _READ_BY_ALL:
        return False
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        return False
    return True


def _writable(folder: Path, home: Home) -> Path:
    """For the user of jobs alone."""
    folder.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(folder, home.sandbox_uid, home.sandbox_uid)
    return folder


def _calibration(job: ToolJob) -> dict[str, Path]:
    return {place: Path(source) for source, place, _ in job.mounts if place == CALIBRATION}


async def _run(
    job: ToolJob,
    places: Mapping[str, Path],
    home: Home,
    device: Mapping[str, object] | None,
    within: float,
    on_progress: OnProgress,
) -> Outcome:
    def hear(_: str, piece: bytes) -> None:
        for found in _PERCENT.findall(piece.decode("utf-8", "replace"))[-1:]:
            on_progress(Progress("converting", min(int(found), 100), 100, unit="percent"))

    output = str(places[OUTPUT])
    wanted = Job(
        argv=job.argv_at(places),
        env=job.environment,
        timeout=within,
        reads=tuple(str(path) for path in places.values() if str(path) != output),
        writes=(output,),
        output_limit=64 << 10,
        limits=Limits(memory=job.memory_bytes, processes=2048, open_files=8192, file_bytes=1 << 46),
        label=f"a tool of models: {job.tool}",
    )
    try:
        return await ModelTools(home.guard_socket, job.image, device).run(wanted, on_output=hear)
    except JobRefused as error:
        raise ModelRefused(error.message, hint=error.hint) from error
    except SandboxUnavailable as error:
        raise EngineAbsent(error.message, hint=error.hint) from error
    except JobLost as error:
        raise ModelUnavailable(error.message, hint=error.hint) from error


def _check(job: ToolJob, outcome: Outcome) -> None:
    said = _last_words(outcome)
    if outcome.timed_out:
        raise ModelUnavailable(f"{job.tool} took too long, and was ended{said}")
    if outcome.cancelled:
        raise ModelUnavailable(f"{job.tool} was stopped{said}", hint="manage.py allstop status says by whom")
    if outcome.exit_status == 0:
        return
    if _FULL in outcome.stderr.text or _FULL in outcome.stdout.text:
        raise disk_full(f"{job.tool} could not write any more")
    if outcome.signal == 9:
        memory = job.memory_bytes / (1 << 30)
        raise ModelUnavailable(
            f"{job.tool} was killed{said}",
            hint=f"as a rule because the {memory:.0f} GiB that it may have were not enough",
        )
    how = f"signal {outcome.signal}" if outcome.signal else f"status {outcome.exit_status}"
    raise ModelRefused(f"{job.tool} ended with {how}{said}")


def _last_words(outcome: Outcome) -> str:
    said = (outcome.stderr.text.strip() or outcome.stdout.text.strip())[-_LAST_WORDS:]
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return f": {' | '.join(lines[-4:])}" if lines else ""


def _looked_at(folder: Path, job: ToolJob) -> Facts:
    """It is read like any file that came from somewhere. Raises ModelRefused."""
    if not any(folder.iterdir()):
        raise ModelRefused(f"{job.tool} says that it is done, and has made nothing")
    try:
        return inspect_path(folder)
    except ModelRefused as error:
        raise ModelRefused(f"what {job.tool} has made is none: {error.message}") from error
