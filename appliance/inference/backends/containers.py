"""Engines in containers, whichever they are: made, looked at and ended by way of guard, and found again after a death.

A container outlives the keeper and guard. Its name and labels carry model, generation and plan, by which the next
keeper knows what it finds.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from appliance.inference.backends.calling import Calls
from appliance.inference.backends.contract import Plan, Readiness, Running, Sign
from appliance.inference.errors import EngineAbsent
from appliance.inference.hardware.domain import Accelerator
from appliance.sandbox.docker.client import GuardClient
from appliance.sandbox.errors import JobRefused, SandboxUnavailable

_WITHIN = 90.0
_HEALTH_WITHIN = 2.0
_LAST_LINES = 8
_GIB = 1 << 30
_KILLED, _BROKEN = 137, 139
_SIGNALS = {_KILLED: "SIGKILL", _BROKEN: "SIGSEGV", 134: "SIGABRT", 136: "SIGFPE", 143: "SIGTERM"}
_NO_GUARD = EngineAbsent(
    "nobody makes containers on this box: guard does not run",
    hint="install Docker, start the box as root (or as a user of the group docker), and see `manage.py doctor`",
)


@dataclass(frozen=True, slots=True)
class Container:
    """What guard tells of one. ``state`` is the container engine's word, or ``absent``."""

    name: str
    state: str
    id: str = ""
    model: str = ""
    generation: int = 0
    engine: str = ""
    plan: str = ""
    started_at: str = ""
    exit_status: int = 0
    out_of_memory: bool = False
    error: str = ""
    address: str = ""
    port: int = 0
    progress: str = ""
    memory: int | None = None

    @property
    def lives(self) -> bool:
        return self.state in ("created", "running", "paused", "restarting")

    @property
    def url(self) -> str:
        return f"http://{self.address}:{self.port}" if self.address else ""

    @property
    def running(self) -> Running:
        return Running(
            self.name,
            self.generation,
            self.url,
            self.name,
            _moment(self.started_at),
            model=self.model,
            plan=self.plan,
        )


class Containers:
    """The containers of one engine. ``loading_is_503``: it listens while it loads, and says 503 all the while; of any
    other a 503 is no progress."""

    def __init__(
        self, guard: Path | None, home_id: str, engine: str, *, loading_is_503: bool = False
    ) -> None:
        self._guard = GuardClient(guard, within=_WITHIN) if guard else None
        self._home_id = home_id
        self._engine = engine
        self._loading_is_503 = loading_is_503
        self._known: dict[str, Container] = {}
        self._health: dict[str, str] = {}
        self._calls = Calls(_HEALTH_WITHIN)

    async def why_not(self) -> tuple[str, str]:
        """Why there can be no containers here, and what to do; empty where there can."""
        try:
            found = await self._ask("probe")
        except EngineAbsent as error:
            return error.message, error.hint or ""
        if found.get("absent") or not found.get("healthy"):
            said = str(found.get("absent") or found.get("message") or "the container engine cannot be used")
            return said, "install Docker (apt-get install docker.io), start it, and start the box again"
        return "", ""

    async def ensure(self, plan: Plan, generation: int) -> Running:
        """Have it run; the same generation twice is the same container. Raises EngineAbsent."""
        found = _container(await self._ask("model_start", **_request(plan, generation)))
        self._known[found.name], self._health[found.name] = found, plan.health
        return found.running

    async def ready(self, running: Running) -> Readiness:
        """With guard away for a moment what it said last still holds: the engine does not need it."""
        found = await self._look(running)
        if not found.lives:
            return await self._gone(running, found)
        if not found.url:
            return Readiness(Sign.LOADING, found.progress)
        status = await self._status(f"{found.url}{self._health.get(running.name, '/health')}")
        if status == httpx.codes.OK:
            return Readiness(Sign.READY, url=found.url)
        if status is None or self._loading_is_503:
            return Readiness(Sign.LOADING, found.progress)
        return Readiness(Sign.LOADING, f"it answers {status} when asked how it is")

    async def stop(self, running: Running, grace: float) -> None:
        self._known.pop(running.name, None)
        await self._ask("model_stop", name=running.name, grace=float(grace))

    async def memory(self, running: Running) -> int | None:
        """Bytes of the machine's memory that it has now; None where nobody says."""
        with contextlib.suppress(EngineAbsent):
            return _container(await self._ask("model_look", name=running.name, stats=True)).memory
        return None

    async def found(self) -> list[Running]:
        """Those of this engine that run. What has ended is taken away."""
        try:
            answer = await self._ask("model_list")
        except EngineAbsent:
            return []
        rows = [_container(row) for row in answer.get("models") or ()]
        own = [row for row in rows if row.engine == self._engine]
        for row in own:
            if not row.lives:
                await self.stop(row.running, 0)
        return [row.running for row in own if row.lives]

    async def page(self, url: str) -> httpx.Response | None:
        """What the engine answers; None where it does not."""
        try:
            return await self._calls.get(url)
        except httpx.HTTPError:
            return None

    async def close(self) -> None:
        """The containers go on."""
        await self._calls.close()

    async def _look(self, running: Running) -> Container:
        try:
            found = _container(await self._ask("model_look", name=running.name))
        except EngineAbsent:
            known = self._known.get(running.name)
            if known is None:
                raise
            return known
        self._known[running.name] = found
        return found

    async def _gone(self, running: Running, found: Container) -> Readiness:
        if found.state == "absent":
            return Readiness(Sign.GONE, reason="its container is gone: somebody removed it")
        log = ""
        with contextlib.suppress(EngineAbsent):
            log = str((await self._ask("model_log", name=running.name, lines=_LAST_LINES)).get("log") or "")
        said = " | ".join(line.strip()[:300] for line in log.splitlines() if line.strip())
        how = found.error or _how(found)
        return Readiness(
            Sign.GONE,
            reason=f"{self._engine} ended {how}: {said}" if said else f"{self._engine} ended {how}",
            exit_status=found.exit_status,
            out_of_memory=found.out_of_memory,
        )

    async def _status(self, url: str) -> int | None:
        answer = await self.page(url)
        return None if answer is None else answer.status_code

    async def _ask(self, verb: str, **values: object) -> Mapping[str, Any]:
        """Raises EngineAbsent."""
        if self._guard is None:
            raise _NO_GUARD
        try:
            return await self._guard.ask(verb, **values)
        except (JobRefused, SandboxUnavailable) as error:
            raise EngineAbsent(error.message, hint=error.hint) from error


def _request(plan: Plan, generation: int) -> dict[str, object]:
    device = plan.accelerator
    on_device = plan.model.size if device else 0  # what passes through on its way there
    return {
        "model": plan.model.name,
        "generation": generation,
        "plan": plan.digest,
        "image": plan.image,
        "argv": list(plan.argv),
        "env": dict(plan.environment),
        "folder": str(plan.folder),
        "files": dict(plan.files),
        "port": plan.port,
        "memory": plan.footprint.memory + plan.shared_memory + on_device + 2 * _GIB,
        "shared_memory": plan.shared_memory,
        "device": _device(device) if device else None,
    }


def _device(device: Accelerator) -> dict[str, object]:
    """In each way that is known; a number or an address is none of them."""
    uuid = device.id if device.id.startswith(("GPU-", "MIG-")) else ""
    return {"cdi": device.cdi, "nvidia": uuid, "nodes": list(device.nodes)}


def _container(row: Mapping[str, Any]) -> Container:
    names = Container.__dataclass_fields__
    return Container(**{name: value for name, value in row.items() if name in names})


def _how(found: Container) -> str:
    if found.out_of_memory:
        return "because the memory that it may have was not enough"
    signal = _SIGNALS.get(found.exit_status)
    return f"with status {found.exit_status}" + (f" (by {signal})" if signal else "")


def _moment(text: str) -> datetime:
    """The engine writes nine digits of a second, which Python does not read."""
    with contextlib.suppress(ValueError):
        return datetime.fromisoformat(text[:19]).replace(tzinfo=UTC)
    return datetime.now(UTC)
