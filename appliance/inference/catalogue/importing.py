"""Bringing a model onto the box: from a folder, a web server, or a git repository. It is there whole, or not at all."""

import re
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.audit.services import append_here
from appliance.inference.backends.remote.where import REMOTE, read_where
from appliance.inference.catalogue import git_source, local
from appliance.inference.catalogue.downloading import download, remotes
from appliance.inference.catalogue.durable import hash_file
from appliance.inference.catalogue.fetching import Fetcher
from appliance.inference.catalogue.inspecting import inspect_path
from appliance.inference.catalogue.manifest import NAME, LeftOut, Manifest, ModelFile
from appliance.inference.catalogue.outside import Outside, shown
from appliance.inference.catalogue.progress import OnProgress, Progress, nobody
from appliance.inference.catalogue.reading.facts import Facts
from appliance.inference.catalogue.repository import Repository, Stored
from appliance.inference.catalogue.sources import Source, SourceKind, read_source
from appliance.inference.catalogue.space import Space
from appliance.inference.catalogue.staging import Staging, open_staging
from appliance.inference.domain import ModelFormat
from appliance.inference.errors import ImportInterrupted, ModelRefused
from appliance.lib.config import get_config
from appliance.lib.home import owner_of
from appliance.safety.allstop import current
from appliance.safety.read_only import refuse_changes
from appliance.safety.references import PREFIX
from appliance.safety.secrets import require_known
from appliance.sandbox.ports import Sandbox
from appliance.sandbox.process.client import ProcessSandbox

_UNVERSIONED = "0"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be imported, as a person says it. ``only``: a pattern of weights, where a source has several."""

    source: str
    name: str
    version: str = ""
    sha256: str = ""
    licence: str = ""
    only: str = ""
    move: bool = False
    afresh: bool = False
    proxy: str = ""
    token: str = field(default="", repr=False)
    space: Space = field(default_factory=Space)


@dataclass(frozen=True, slots=True)
class Imported:
    """``fresh``: False where the box had the same content already."""

    stored: Stored
    fresh: bool
    left_out: LeftOut = ()


def import_model(
    wanted: Wanted,
    by: Principal,
    now: datetime,
    home: Path | None = None,
    on_progress: OnProgress = nobody,
    sandbox: Sandbox | None = None,
) -> Imported:
    """Bring a model into the repository and put it on record; nothing is served by that.

    Raises NotAllowed, ReadOnlyNow, ModelRefused, ModelBusy (somebody imports the same), ImportInterrupted (the same
    call goes on where it stopped), SecretMissing (a model elsewhere names a key that the box does not keep).
    """
    by.require(Ability.MANAGE_MODELS)
    refuse_changes(by, home)
    _check_words(wanted)
    source = read_source(wanted.source)
    folder = home or get_config().home.path
    owner = owner_of(folder)
    taking = _Taking(wanted, source, by, folder, on_progress, sandbox)
    try:
        with open_staging(folder / "models", wanted.name, wanted.version, source.text, owner) as staging:
            imported = taking.into(staging, now)
    except OSError as error:
        raise ModelRefused(f"the model repository cannot be written: {error.strerror}") from error
    manifest = imported.stored.manifest
    if wanted.move:
        local.give_up(Path(source.text), manifest.files)
    append_here(
        "model.import",
        by.name,
        f"model/{manifest.name}",
        {
            "version": manifest.version,
            "digest": manifest.digest,
            "source": manifest.source,
            "fresh": imported.fresh,
        },
    )
    return imported


class _Taking:
    def __init__(
        self,
        wanted: Wanted,
        source: Source,
        by: Principal,
        home: Path,
        on_progress: OnProgress,
        sandbox: Sandbox | None,
    ) -> None:
        self._wanted, self._source, self._by, self._home = wanted, source, by, home
        self._on_progress, self._sandbox = on_progress, sandbox
        self._from = source.text if source.kind is SourceKind.LOCAL else shown(source.text)

    def into(self, staging: Staging, now: datetime) -> Imported:
        tell = self._on_progress

        def both(progress: Progress) -> None:
            staging.note(progress)
            tell(progress)

        self._on_progress = both
        try:
            # Copies begin anew; downloads go on.
            staging.prepare(afresh=self._wanted.afresh or self._source.kind is SourceKind.LOCAL)
            files, left_out = self._bring(staging)
            return self._make_version(staging, files, left_out, now)
        except (ImportInterrupted, KeyboardInterrupt):
            if self._source.kind is SourceKind.LOCAL:
                staging.discard()
            raise
        except BaseException:
            staging.discard()
            raise

    def _bring(self, staging: Staging) -> tuple[list[ModelFile], LeftOut]:
        if self._source.kind is SourceKind.LOCAL:
            return local.take(
                Path(self._source.text),
                self._wanted.only,
                staging,
                self._wanted.space,
                self._on_progress,
                move=self._wanted.move,
            )
        watch = _go_ahead(self._home)
        watch()
        with ExitStack() as stack:
            outside = stack.enter_context(
                Outside(self._source.text, proxy=self._wanted.proxy, token=self._wanted.token)
            )
            fetcher = Fetcher(outside, staging.parts, self._wanted.space, watch, self._on_progress)
            if self._source.kind is SourceKind.HTTP:
                return download(remotes(self._source.text, self._wanted.sha256), fetcher, staging), ()
            sandbox = self._sandbox or ProcessSandbox(get_config().home.spawner_socket)
            clone = stack.enter_context(git_source.cloned(self._source.text, self._wanted.proxy, sandbox))
            commit = git_source.commit_of(clone)
            self._from = f"git+{self._from}@{commit}" if commit else f"git+{self._from}"
            return git_source.take(
                self._source.text, self._wanted.only, staging, fetcher, outside, self._wanted.space, clone
            )

    def _make_version(
        self, staging: Staging, known: list[ModelFile], left_out: LeftOut, now: datetime
    ) -> Imported:
        facts = inspect_path(staging.files)
        if facts.format is ModelFormat.REMOTE:
            self._check_elsewhere(staging)
        hashed = {file.path: file for file in known}
        files = [hashed.get(name) or self._hashed(staging, name) for name in facts.files]
        _remove_others(staging, {file.path for file in files})
        if self._wanted.sha256 and self._wanted.sha256 not in {file.sha256 for file in files}:
            raise ModelRefused(
                f"no file of it has the SHA-256 {self._wanted.sha256}",
                hint="compare the digest with its publisher's; nothing of it was kept",
            )
        draft = self._manifest(facts, files, now)
        earlier = self._same(Repository(staging.models), draft)
        if earlier is not None:
            staging.discard()
            return Imported(earlier, fresh=False, left_out=left_out)
        placed = staging.place(draft)
        return Imported(Stored(draft, placed), fresh=True, left_out=left_out)

    def _check_elsewhere(self, staging: Staging) -> None:
        """Where questions go, and which secret with them, is said on this box, by who may use that secret."""
        if self._source.kind is not SourceKind.LOCAL:
            raise ModelRefused(
                f"a source from outside does not say where questions of this box go ({REMOTE})",
                hint="write it into a folder on this box and import that",
            )
        key = read_where(staging.files / REMOTE).key
        if key:
            self._by.require(Ability.USE_SECRETS, secret=key)
            require_known(f"{PREFIX}{key}")

    def _hashed(self, staging: Staging, name: str) -> ModelFile:
        path = staging.files / name
        size = path.stat().st_size
        digest = hash_file(path, lambda _: self._on_progress(Progress("checking", size, size, name)))
        return ModelFile(path=name, size=size, sha256=digest)

    def _manifest(self, facts: Facts, files: list[ModelFile], now: datetime) -> Manifest:
        said = facts.model_dump(exclude={"files", "left_out"})
        said["licence"] = self._wanted.licence or said["licence"]
        draft = Manifest.model_validate(
            {
                **said,
                "name": self._wanted.name,
                "version": self._wanted.version or _UNVERSIONED,
                "files": files,
                "source": self._from,
                "added_at": now,
            }
        )
        return draft if self._wanted.version else draft.model_copy(update={"version": draft.digest[:12]})

    def _same(self, repository: Repository, draft: Manifest) -> Stored | None:
        """The version with the same content. Raises ModelRefused where its name is another than the one wanted."""
        for version in repository.versions(draft.name):
            found = repository.read(draft.name, version)
            if found.manifest.digest == draft.digest:
                if self._wanted.version not in ("", version):
                    raise ModelRefused(f"the same content is there as {draft.name}@{version}")
                return found
        return None


def _check_words(wanted: Wanted) -> None:
    if not all(re.fullmatch(NAME, word) for word in (wanted.name, wanted.version or _UNVERSIONED)):
        raise ModelRefused(
            "names and versions of models are a-z, 0-9, `.`, `_` and `-`, and begin with a letter or a digit"
        )
    if wanted.sha256 and (len(wanted.sha256) != 64 or set(wanted.sha256) - set("0123456789abcdef")):
        raise ModelRefused("a SHA-256 is 64 hexadecimal digits in lower case")
    if wanted.move and "://" in wanted.source:
        raise ModelRefused("--move is for what lies on this box")


def _go_ahead(home: Path) -> Callable[[], None]:
    """Raises ImportInterrupted while the all-stop lets nothing leave the box."""

    def watch() -> None:
        if current(home).cuts:
            raise ImportInterrupted(
                "the all-stop lets nothing leave the box", hint="after its release the same call goes on"
            )

    return watch


def _remove_others(staging: Staging, names: set[str]) -> None:
    """What is no part of the version does not lie in its folder."""
    for path in sorted(staging.files.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif path.relative_to(staging.files).as_posix() not in names:
            path.unlink()
