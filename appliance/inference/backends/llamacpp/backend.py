"""llama.cpp: GGUF models, on the processor or a device, as a confined process of this box's own, or in a container.

The process lives as long as the sandbox's connection, and that as long as the keeper: nothing is left behind.
"""

import asyncio
import contextlib
import importlib.metadata
import importlib.util
import json
import re
import secrets
import sys
from collections import deque
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
from appliance.inference.backends.llamacpp.container import LlamaCppContainers
from appliance.inference.backends.llamacpp.dialect import DIALECT
from appliance.inference.backends.llamacpp.figures import stats_of
from appliance.inference.backends.llamacpp.planning import CONFIG, LIBRARY, OPTIONS, plan
from appliance.inference.catalogue.manifest import Manifest
from appliance.inference.domain import EngineKind, ModelFormat
from appliance.inference.errors import EngineAbsent
from appliance.inference.hardware.domain import Hardware
from appliance.lib.cancelling import end
from appliance.sandbox.ports import Job, Limits, Outcome, Sandbox

FORMATS = frozenset({ModelFormat.GGUF})
_LONGEST = 7 * 86400.0 - 60
"""As long as the sandbox runs a job; then it is made anew."""
_STARTS_WITHIN = 20.0
_HEALTH_WITHIN = 2.0
_LAST_LINES = 8
_BESIDE = 4 << 30
"""Address space beside the weights: thread stacks, the interpreter, buffers."""
_NO_LIMIT = 1 << 46
_PROCESS = "process "
"""With what the handle of one begins that is no container."""
_ORDINARY = re.compile(r"[\d.]+ [ID] ")
"""Of llama.cpp's log: what it says while all is well."""


class _Process:
    """A job that runs, and what it has said."""

    def __init__(self, running: Running, sandbox: Sandbox, job: Job) -> None:
        self.running = running
        self.url = ""
        self.heard = 0
        self.said: deque[str] = deque(maxlen=100)
        self.task = asyncio.create_task(sandbox.run(job, on_output=self._hear))

    def _hear(self, stream: str, piece: bytes) -> None:
        self.heard += len(piece)
        for line in piece.decode("utf-8", "replace").splitlines():
            if stream == "stdout" and line.startswith("{") and not self.url:
                with contextlib.suppress(ValueError, KeyError):
                    self.url = str(json.loads(line)["url"])
            elif line.strip() and not _ORDINARY.match(line):
                self.said.append(line.strip()[:300])

    def gone(self) -> Readiness | None:
        """How it ended; None while it lives."""
        if not self.task.done():
            return None
        if self.task.cancelled():
            return Readiness(Sign.GONE, reason="it was stopped")
        error = self.task.exception()
        if error is not None:
            return Readiness(Sign.GONE, reason=str(error))
        outcome = self.task.result()
        if outcome.timed_out:
            return Readiness(Sign.GONE, reason="it ran for a week, and is made anew", exit_status=0)
        status = outcome.exit_status if outcome.signal is None else -outcome.signal
        return Readiness(Sign.GONE, reason=self._last_words(outcome), exit_status=status)

    def _last_words(self, outcome: Outcome) -> str:
        said = " | ".join(list(self.said)[-_LAST_LINES:])
        how = f"signal {outcome.signal}" if outcome.signal else f"status {outcome.exit_status}"
        return f"llama.cpp ended with {how}: {said}" if said else f"llama.cpp ended with {how}"


class LlamaCpp:
    kind = EngineKind.LLAMACPP
    formats = FORMATS
    dialect = DIALECT

    def __init__(self, context: BackendContext) -> None:
        self._sandbox = context.sandbox
        self._home = context.home_id
        self._processes: dict[str, _Process] = {}
        self._containers = LlamaCppContainers(context)
        self._calls = Calls(_HEALTH_WITHIN)

    async def probe(self) -> Probe:
        if importlib.util.find_spec(LIBRARY) is None:
            return Probe(
                False,
                "llama.cpp is not installed on this box",
                "pip install -r requirements-llamacpp.txt into the box's .venv, then start the box again",
            )
        return Probe(True, version=importlib.metadata.version(LIBRARY))

    def plan(
        self, model: Manifest, folder: Path, profile: Profile, hardware: Hardware, learned: Footprint | None
    ) -> Plan:
        """For a container where the operator named an image for the device; else for a process."""
        if self._containers.serves(profile, hardware):
            return self._containers.plan(model, folder, profile, hardware, learned)
        return plan(model, folder, profile, hardware, learned)

    async def start(self, plan: Plan, generation: int) -> Running:
        if plan.image:
            return await self._containers.start(plan, generation)
        found = await self.probe()
        if not found.available:
            raise EngineAbsent(found.reason, hint=found.hint)
        name, key = f"mw-{self._home}-{plan.model.name}-g{generation}", secrets.token_urlsafe(24)
        handle = f"{_PROCESS}{name}"
        if handle in self._processes:
            return self._processes[handle].running
        running = Running(
            name,
            generation,
            "",
            handle,
            datetime.now(UTC),
            key=key,
            model=plan.model.name,
            plan=plan.digest,
        )
        self._processes[handle] = _Process(running, self._sandbox, _job(plan, key, name))
        return running

    async def ready(self, running: Running) -> Readiness:
        process = self._processes.get(running.handle)
        if process is None and _in_container(running):
            return await self._containers.ready(running)
        if process is None:
            return Readiness(Sign.GONE, reason="it is not of this life of the box")
        gone = process.gone()
        if gone is not None:
            return gone
        if not process.url:
            return Readiness(Sign.LOADING, f"{process.heard} bytes of its log")
        if await self._well(process):
            return Readiness(Sign.READY, url=process.url)
        return Readiness(Sign.LOADING, "it does not answer")

    async def _well(self, process: _Process) -> bool:
        try:
            return (await self._calls.get(f"{process.url}/health")).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    async def stop(self, running: Running, grace: float) -> None:
        process = self._processes.pop(running.handle, None)
        if process is not None:
            await end({process.task})
        elif _in_container(running):
            await self._containers.stop(running, grace)

    async def stats(self, running: Running) -> Stats:
        process = self._processes.get(running.handle)
        if _in_container(running):
            return await self._containers.stats(running)
        if process is None or not process.url:
            return Stats()
        try:
            headers = {"Authorization": f"Bearer {running.key}"}
            page = await self._calls.get(f"{process.url}/metrics", headers=headers)
        except httpx.HTTPError:
            return Stats()
        return stats_of(page.text)

    async def found(self) -> list[Running]:
        """Those in containers; a process ends with whoever started it."""
        return await self._containers.found()

    async def close(self) -> None:
        await end({process.task for process in self._processes.values()})
        self._processes.clear()
        await self._containers.close()
        await self._calls.close()


def _in_container(running: Running) -> bool:
    return not running.handle.startswith(_PROCESS)


def _job(plan: Plan, key: str, name: str) -> Job:
    config = {**json.loads(plan.files[CONFIG]), "key": key}
    memory = _NO_LIMIT if plan.profile.device else plan.footprint.memory + plan.model.size + _BESIDE
    return Job(
        argv=plan.argv,
        env=plan.environment,
        files={CONFIG: json.dumps(config)},
        reads=(str(plan.folder), *_interpreter()),
        timeout=_LONGEST,
        output_limit=16 << 10,
        limits=Limits(memory=memory, processes=512, open_files=4096),
        label=f"model {name}",
    )


def _interpreter() -> tuple[str, ...]:
    """Where this Python and its packages lie; the engine's script among them."""
    found = {sys.prefix, sys.base_prefix, str(Path(__file__).resolve().parent)}
    return tuple(sorted(str(Path(path).resolve()) for path in found))


BACKEND = BackendFactory(EngineKind.LLAMACPP, "llama.cpp", FORMATS, LlamaCpp, OPTIONS)
