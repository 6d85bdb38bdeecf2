"""The asyncio side of the container sandbox: jobs by way of guard."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.sandbox.docker.request import TemplateName
from appliance.sandbox.errors import JobRefused, SandboxUnavailable
from appliance.sandbox.ports import Job
from appliance.sandbox.process import wire
from appliance.sandbox.process.client import ProcessSandbox, raise_answer
from appliance.sandbox.process.described import describe, within_limit

_START_SECONDS = 90.0
"""A container that is made for this job alone takes its time on a busy machine."""


@dataclass(frozen=True, slots=True)
class Where:
    """In which image (by digest) and how a job runs, and for which step of which run.

    ``network``: the networks and ports (0: all) that it may reach; None for no limit but the template's.
    ``must_limit``: it is not to run where that cannot be enforced.
    """

    image: str
    template: TemplateName = "strict"
    run: str = ""
    step: str = ""
    network: tuple[tuple[str, int], ...] | None = None
    must_limit: bool = False


class DockerSandbox(ProcessSandbox):
    """Runs jobs in a container each, by way of the guard that listens on ``socket_path``."""

    _server = "guard"
    _start_seconds = _START_SECONDS

    def __init__(self, socket_path: Path, where: Where) -> None:
        super().__init__(socket_path)
        self._where = where

    def _describe(self, job: Job, *, live: bool) -> bytes:
        if job.workdir is not None:
            raise JobRefused("A container has a working folder of its own: none can be named.")
        if job.pins or job.executable:
            raise JobRefused(
                "The programs of a container are its image's: they cannot be pinned by themselves."
            )
        where = self._where
        place = {"image": where.image, "template": where.template, "run": where.run, "step": where.step}
        network = None if where.network is None else [{"network": n, "port": p} for n, p in where.network]
        described = describe(job, live=live)
        for name in ("workdir", "pins", "executable", "cgroup"):
            del described[name]
        return within_limit(
            {"verb": "run", **described, **place, "network": network, "must_limit": where.must_limit}
        )


class ModelTools(ProcessSandbox):
    """Runs a tool of models, of an image that the box's settings name, by way of the guard at ``socket_path``.

    What the job reads and writes has, inside, the place that it has outside. ``device``: as ``ModelDevice`` has it.
    """

    _server = "guard"
    _start_seconds = _START_SECONDS

    def __init__(self, socket_path: Path, image: str, device: Mapping[str, object] | None = None) -> None:
        super().__init__(socket_path)
        self._image, self._device = image, device

    def _describe(self, job: Job, *, live: bool) -> bytes:
        described = describe(job, live=live)
        for name in ("workdir", "pins", "executable", "cgroup"):
            del described[name]
        place = {"image": self._image, "run": "", "step": job.label, "device": self._device}
        return within_limit({"verb": "model_job", **described, **place})


class GuardClient(ProcessSandbox):
    """Everything else that guard can be asked. ``within``: seconds that an answer may take."""

    _server = "guard"

    def __init__(self, socket_path: Path, *, within: float = 15.0) -> None:
        super().__init__(socket_path)
        self._start_seconds = within

    async def ask(self, verb: str, **values: object) -> dict[str, Any]:
        """The answer to ``probe``, ``list``, ``refusals``, ``cancel``, ``cleanup``, or to what is asked about models.

        Raises SandboxUnavailable, JobRefused.
        """
        request = json.dumps({"verb": verb, **values}).encode()
        async with self._asked(wire.REQUEST, request) as conversation:
            kind, payload = await self._first_answer(conversation)
        if kind != wire.FACTS:
            raise_answer(kind, payload)
        answer = json.loads(payload)
        if not isinstance(answer, dict):
            raise SandboxUnavailable("Guard gave an answer that this client does not know.")
        return answer
