"""A model's git repository: its newest state, cloned by a confined job; its large files by LFS, without git-lfs."""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from appliance.inference.catalogue.downloading import download
from appliance.inference.catalogue.durable import copy_file, make_folder
from appliance.inference.catalogue.fetching import Fetcher, Remote
from appliance.inference.catalogue.lfs import locate, read_pointer
from appliance.inference.catalogue.manifest import LeftOut, ModelFile
from appliance.inference.catalogue.outside import Outside
from appliance.inference.catalogue.reading.configuration import refuse_custom_code
from appliance.inference.catalogue.reading.facts import Unreadable
from appliance.inference.catalogue.reading.folder import WEIGHTS, names_of, objection, wanted
from appliance.inference.catalogue.space import Space
from appliance.inference.catalogue.staging import Staging
from appliance.inference.errors import ModelRefused
from appliance.sandbox.errors import JobLost, JobRefused, SandboxUnavailable
from appliance.sandbox.ports import Declared, Job, Limits, Sandbox

_PATIENCE = 1800.0
_LARGEST_FILE = 1 << 30
"""That is in git itself: weights are not."""
_SAFELY = (
    "core.hooksPath=/dev/null", "core.symlinks=false", "protocol.allow=never", "protocol.https.allow=always",
    "protocol.http.allow=always", "credential.helper=", "http.followRedirects=initial", "transfer.fsckObjects=true",
    "core.attributesFile=/dev/null", "core.protectHFS=true", "core.protectNTFS=true",
)  # fmt: skip


def clone_job(url: str, target: Path, proxy: str) -> Job:
    """What is run; it writes into ``target`` and reaches the repository's host."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    reached = (f"{parts.hostname}:{port}",) if not proxy else ("any",)
    settings = (*_SAFELY, f"http.proxy={proxy}") if proxy else _SAFELY
    config = [word for one in settings for word in ("-c", one)]
    argv = (
        "git",
        *config,
        "clone",
        "--quiet",
        "--depth",
        "1",
        "--single-branch",
        "--no-tags",
        "--",
        url,
        "clone",
    )
    return Job(
        argv=argv,
        workdir=target,
        env={
            "HOME": str(target),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "/bin/false",
            "GIT_LFS_SKIP_SMUDGE": "1",
            "LC_ALL": "C.UTF-8",
        },
        timeout=_PATIENCE,
        limits=Limits(file_bytes=_LARGEST_FILE),
        declared=Declared(network=reached),
        label="import of a model: git clone",
    )


@contextlib.contextmanager
def cloned(url: str, proxy: str, sandbox: Sandbox) -> Iterator[Path]:
    """The working tree of the repository's newest state. Raises ModelRefused."""
    # Not below the home, where the user of confined jobs gets nowhere.
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="mw-clone-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o711)
        target = folder / "work"
        target.mkdir()
        target.chmod(0o1777)
        try:
            outcome = asyncio.run(sandbox.run(clone_job(url, target, proxy)))
        except (SandboxUnavailable, JobRefused, JobLost) as error:
            raise ModelRefused(
                f"the repository cannot be cloned: {error}",
                hint="git runs confined, by the box: manage.py up",
            ) from error
        if outcome.exit_status == 127:
            raise ModelRefused(
                "git is not installed on this box", hint="apt-get install git, or take the files by URL"
            )
        if outcome.exit_status != 0:
            said = outcome.stderr.text.strip().splitlines()[-3:]
            raise ModelRefused(
                f"the repository cannot be cloned: {' | '.join(said)[:500] or 'git was ended'}"
            )
        yield target / "clone"


def take(
    url: str, only: str, staging: Staging, fetcher: Fetcher, outside: Outside, space: Space, clone: Path
) -> tuple[list[ModelFile], LeftOut]:
    """The model's files in a fresh clone, and those that it points to. Raises ModelRefused, ImportInterrupted."""
    shutil.rmtree(staging.files, ignore_errors=True)
    make_folder(staging.files, staging.owner)
    try:
        refuse_custom_code(clone)
        names = wanted(names_of(clone), only)
    except Unreadable as error:
        raise ModelRefused(f"this is no model for this box: {error}") from error
    pointers: dict[str, tuple[str, int]] = {}
    left_out: list[tuple[str, str]] = []
    for name in names:
        pointer = read_pointer(clone / name)
        size = pointer[1] if pointer else (clone / name).stat().st_size
        why = "" if Path(name).suffix in WEIGHTS else objection(name, size)
        if why:
            left_out.append((name, why))
            continue
        make_folder((staging.files / name).parent, staging.owner)
        if pointer:
            pointers[name] = pointer
        else:
            copy_file(clone / name, staging.files / name, lambda _: None)
    total = sum(size for _, size in pointers.values())
    if total > space.largest:
        raise ModelRefused(f"the model has {total} bytes, and {space.largest} are the most")
    located: list[Remote] = locate(url, pointers, outside)
    space.require(staging.folder, total - _there(staging.parts))
    return download(located, fetcher, staging), tuple(left_out)


def _there(parts: Path) -> int:
    return sum(one.stat().st_size for one in parts.iterdir())


def commit_of(clone: Path) -> str:
    """Of a fresh clone; empty where git keeps it in another place."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        head = (clone / ".git" / "HEAD").read_text().strip()
        found = (clone / ".git" / head.removeprefix("ref: ")).read_text().strip() if " " in head else head
        return found if len(found) == 40 and found.isalnum() else ""
    return ""
