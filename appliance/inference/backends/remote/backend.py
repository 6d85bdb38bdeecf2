"""A model that somebody else serves: nothing is started or stopped, and what is asked leaves the box.

It is off unless the operator's settings name where. In the repository such a model is a version like any other, whose
one file, ``remote.json``, says where it is: so it has a digest, goes live by its tests, and stands in the matrix.
"""

import ssl
from datetime import UTC, datetime
from pathlib import Path

import httpx

from appliance.inference.backends.calling import Calls
from appliance.inference.backends.contract import (
    BackendContext,
    BackendFactory,
    Footprint,
    Plan,
    Probe,
    Profile,
    Readiness,
    Running,
    Sign,
    Stats,
)
from appliance.inference.backends.fitting import check_context, check_format
from appliance.inference.backends.options import checked
from appliance.inference.backends.refusing import sentence
from appliance.inference.backends.remote.dialect import DIALECT
from appliance.inference.backends.remote.where import (
    ALLOWED,
    AUTHORITIES,
    Where,
    allowed_origins,
    origin_of,
    read_where,
)
from appliance.inference.catalogue.manifest import Manifest
from appliance.inference.domain import EngineKind, ModelFormat
from appliance.inference.errors import EngineAbsent, ModelRefused
from appliance.inference.hardware.domain import Hardware
from appliance.lib.authorities import authorities_with
from appliance.safety.stop import Level

FORMATS = frozenset({ModelFormat.REMOTE})
_WITHIN = 5.0


class Remote:
    kind = EngineKind.REMOTE
    formats = FORMATS
    dialect = DIALECT

    def __init__(self, context: BackendContext) -> None:
        self._home = context.home_id
        self._allowed = allowed_origins(context.settings.get(ALLOWED, ""))
        self._secret = context.secret
        self._stopped = context.stopped or (lambda: Level.NONE)
        trusted, self._unreadable = _trusted(context.settings.get(AUTHORITIES, ""))
        self._calls = Calls(_WITHIN, trusted)

    async def probe(self) -> Probe:
        if self._allowed and self._unreadable:
            return Probe(
                False, self._unreadable, f"{AUTHORITIES} names a PEM file that the services can read"
            )
        if self._allowed:
            return Probe(True)
        return Probe(
            False, "models elsewhere are off on this box", f"an administrator names where, in {ALLOWED}"
        )

    def plan(
        self, model: Manifest, folder: Path, profile: Profile, hardware: Hardware, learned: Footprint | None
    ) -> Plan:
        check_format("a remote server", model, FORMATS)
        check_context(model, profile)
        checked("a remote server", profile, {})
        where = self._permitted(read_where(folder / model.main))
        return Plan(
            model=model,
            folder=folder,
            profile=profile,
            footprint=Footprint(0, 0),
            argv=(where.url, where.model, where.key),
            health="/v1/models",
        )

    async def start(self, plan: Plan, generation: int) -> Running:
        """There is nothing to start; the same generation is the same. Raises EngineAbsent, ModelRefused."""
        url, served_as, key = plan.argv
        self._check_stop()
        if key and self._secret is None:
            raise EngineAbsent("the secrets of this box cannot be read here")
        value = await self._secret(key) if key and self._secret else ""
        return Running(
            f"mw-{self._home}-{plan.model.name}-g{generation}",
            generation,
            url,
            served_as,
            datetime.now(UTC),
            key=value,
            model=plan.model.name,
            plan=plan.digest,
            served_as=served_as,
        )

    async def ready(self, running: Running) -> Readiness:
        if self._cut:
            return Readiness(Sign.GONE, reason="the all-stop lets nothing leave the box")
        headers = {"Authorization": f"Bearer {running.key}"} if running.key else {}
        try:
            answer = await self._calls.get(f"{running.url}/v1/models", headers=headers)
        except httpx.HTTPError as error:
            return Readiness(Sign.LOADING, f"{origin_of(running.url)} does not answer: {_why(error)}")
        if answer.is_success:
            return Readiness(Sign.READY, url=running.url)
        said = sentence(answer.status_code, answer.content)
        if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            return Readiness(Sign.GONE, reason=f"{origin_of(running.url)} does not take the key: {said}")
        return Readiness(Sign.LOADING, f"it answers {answer.status_code}: {said}")

    async def stop(self, running: Running, grace: float) -> None:
        """Nothing of it runs here."""

    async def stats(self, running: Running) -> Stats:
        return Stats()

    async def found(self) -> list[Running]:
        return []

    async def close(self) -> None:
        await self._calls.close()

    @property
    def _cut(self) -> bool:
        return self._stopped().rank >= Level.CUT.rank

    def _check_stop(self) -> None:
        if self._cut:
            raise EngineAbsent(
                "the all-stop lets nothing leave the box",
                hint="manage.py allstop status says who set it, and why",
            )

    def _permitted(self, where: Where) -> Where:
        if where.origin not in self._allowed:
            raise ModelRefused(
                f"{where.origin} is not where this box may ask models",
                hint=f"an administrator names it in {ALLOWED}",
            )
        return where


def _trusted(file: str) -> tuple[ssl.SSLContext | None, str]:
    """Whom to believe, None for the usual ones; without the operator's own where they cannot be read, and why."""
    if not file:
        return None, ""
    try:
        return authorities_with(Path(file)), ""
    except OSError as error:
        return None, f"the authorities in {file} cannot be read: {error.strerror or error}"


def _why(error: httpx.HTTPError) -> str:
    """A certificate that is not taken is told as such: it is no matter of the network."""
    return str(error) if "certificate verify failed" in str(error).lower() else type(error).__name__


BACKEND = BackendFactory(EngineKind.REMOTE, "remote", FORMATS, Remote)
