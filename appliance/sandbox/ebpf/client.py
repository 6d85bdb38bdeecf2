"""Jobs under the kernel's rules, by way of guard, which makes a control group for each."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from appliance.sandbox.docker.client import DockerSandbox, Where
from appliance.sandbox.ebpf.ahead import Group, GroupAhead
from appliance.sandbox.ebpf.reach import Place, places
from appliance.sandbox.ebpf.record import Observed
from appliance.sandbox.ebpf.watched import Undeclared, Watched, findings
from appliance.sandbox.errors import JobRefused, SandboxUnavailable
from appliance.sandbox.ports import LONGEST_LABEL, Declared, Job, Outcome, OutputListener
from appliance.sandbox.process import wire
from appliance.sandbox.process.client import ProcessSandbox
from appliance.sandbox.process.conversation import Conversation

_ANSWER_SECONDS = 5.0
_TELL_AGAIN = 0.5
_LONGEST = 8 * 86400.0
_DEVICES = "/dev"
_SILENT = b'{"message": "guard does not answer"}'


@dataclass(frozen=True, slots=True)
class Manner:
    """The box's settings for it. ``required``: a job whose network is limited is not run where nobody enforces it.

    ``expected``: the box has a guard, so that one that does not answer will come back. ``absent`` is why nobody watches
    at all; empty where somebody may.
    """

    expected: bool = False
    required: bool = False
    undeclared: Undeclared = Undeclared.ALLOW
    absent: str = ""


class WatchedSandbox(ProcessSandbox):
    """Runs jobs of the process sandbox, or in containers, and says of each what it did beside what it declared.

    Where ``sandbox`` makes connections ahead, so does this; then ``close`` it.
    """

    _server = "guard"

    def __init__(self, guard: Path, sandbox: ProcessSandbox, manner: Manner) -> None:
        super().__init__(guard)
        self._guard = guard
        self._sandbox = sandbox
        self._manner = manner
        self._lacking: tuple[tuple[int, ...], str] = ((), "")
        """What guard lacks for as long as it lives, and by which socket it said so."""
        self._ahead = GroupAhead(self._connected, sandbox.prepare) if sandbox.works_ahead else None

    def close(self) -> None:
        """Let go of what was made ahead, also of the process sandbox."""
        if self._ahead:
            self._ahead.close()
        self._sandbox.close()

    async def run(self, job: Job, *, on_output: OutputListener | None = None) -> Outcome:
        """As ``Sandbox.run``."""
        network = await self._network(job.declared)
        request = _request(job, network)
        # In a folder that it shares with others a job is no child that was made before it.
        if self._ahead and job.workdir is None and (group := self._ahead.take(request)):
            return await self._in_group(job, on_output, group)
        life = _life_of(self._guard)
        absent = self._manner.absent or (self._lacking[1] if self._lacking[0] == life else "")
        async with AsyncExitStack() as stack:
            if not absent:
                try:
                    conversation = await stack.enter_async_context(self._asked(wire.REQUEST, request))
                    kind, payload = await conversation.hear(_ANSWER_SECONDS)
                except (SandboxUnavailable, OSError):
                    kind, payload = wire.UNAVAILABLE, _SILENT
                answer = json.loads(payload)
                if "cgroup" in answer:
                    return await self._watched(job, on_output, str(answer["cgroup"]), conversation, request)
                absent = str(answer.get("absent", ""))
                if absent and answer.get("lasting") and life:
                    self._lacking = (life, absent)
                if not absent:
                    self._failed(kind, answer, limited=network is not None)
                    absent = str(answer["message"])
        return await self._unwatched(job, on_output, absent, limited=network is not None)

    async def _in_group(self, job: Job, on_output: OutputListener | None, group: Group) -> Outcome:
        with group.connection:
            return await self._watched(job, on_output, group.name, group.conversation, group.request)

    async def _watched(
        self,
        job: Job,
        on_output: OutputListener | None,
        group: str,
        conversation: Conversation,
        request: bytes,
    ) -> Outcome:
        outcome = await self._sandbox.run(replace(job, cgroup=group), on_output=on_output)
        outcome = replace(outcome, watched=await _record(conversation))
        if self._ahead and not self._sandbox.is_busy:
            self._ahead.make_soon(request)
        return self._judged(job, outcome)

    def _failed(self, kind: bytes, answer: dict[str, object], *, limited: bool) -> None:
        """No answer, or a refusal, says nothing of this machine: what is to be limited waits until it can be."""
        if limited and kind == wire.REFUSED:
            raise JobRefused(str(answer["message"]))
        if limited and self._manner.expected:
            raise SandboxUnavailable(
                f"The network of the step cannot be limited now: {answer['message']}.",
                hint="It goes on when guard is back; its log says more.",
            )

    async def run_contained(self, job: Job, where: Where, on_output: OutputListener | None) -> Outcome:
        """The same in a container."""
        network = await self._network(job.declared)
        where = replace(where, network=network, must_limit=self._manner.required and network is not None)
        outcome = await DockerSandbox(self._guard, where).run(job, on_output=on_output)
        return self._judged(job, outcome)

    async def _network(self, declared: Declared) -> tuple[Place, ...] | None:
        if declared.network is None:
            return () if self._manner.undeclared is Undeclared.DENY else None
        return await places(declared.network)

    async def _unwatched(
        self, job: Job, on_output: OutputListener | None, reason: str, *, limited: bool
    ) -> Outcome:
        """Nobody limits or watches. Raises SandboxUnavailable where the job is not to run so."""
        if self._manner.required and limited:
            whose = "that the step declares" if job.declared.network is not None else "of the step"
            raise SandboxUnavailable(
                f"The network {whose} cannot be enforced: {reason}.",
                hint="The health page says what is missing. MILLWRIGHT_KERNEL_RULES=auto runs it without.",
            )
        async with self._told(job):
            outcome = await self._sandbox.run(job, on_output=on_output)
        return replace(outcome, watched=Watched(None, reason))

    @asynccontextmanager
    async def _told(self, job: Job) -> AsyncIterator[None]:
        """Let guard know of a job that runs without its rules, also where it comes back only meanwhile.

        One that has none for as long as it lives says so anyway.
        """
        lasting = self._lacking[1] and self._lacking[0] == _life_of(self._guard)
        if not self._manner.expected or self._manner.absent or lasting:
            yield
            return
        telling = asyncio.create_task(self._tell(job.label))
        try:
            yield
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)

    async def _tell(self, label: str) -> None:
        request = json.dumps({"verb": "unwatched", "label": label[:LONGEST_LABEL]}).encode()
        while True:
            with suppress(SandboxUnavailable, OSError):
                async with self._asked(wire.REQUEST, request) as conversation:
                    await conversation.hear(_LONGEST)  # it says nothing, and hears when we leave
            await asyncio.sleep(_TELL_AGAIN)

    def _judged(self, job: Job, outcome: Outcome) -> Outcome:
        watched = outcome.watched
        if watched is None or watched.observed is None:
            return outcome
        command = (job.executable or job.argv[0], job.argv[0])
        found = findings(
            watched.observed,
            job.declared.network,
            job.declared.programs,
            command,
            self._manner.undeclared,
        )
        return replace(outcome, watched=replace(watched, findings=found))


def _life_of(guard: Path) -> tuple[int, ...]:
    """Which life of guard listens there: each makes its socket anew. Empty where none does."""
    try:
        found = guard.stat()
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_ctime_ns


async def _record(conversation: Conversation) -> Watched:
    """What guard says of a job that is over."""
    conversation.say_no_more()
    try:
        _, payload = await conversation.hear(_ANSWER_SECONDS)
        return Watched(Observed.model_validate_json(payload))
    except (OSError, ValidationError):
        return Watched(None, "guard went away while the job ran; its rules held")


def _request(job: Job, network: Sequence[Place] | None) -> bytes:
    devices = [
        path for path in (*job.reads, *job.writes) if path == _DEVICES or path.startswith(_DEVICES + "/")
    ]
    reaches = None if network is None else [{"network": place, "port": port} for place, port in network]
    return json.dumps({"verb": "watch", "network": reaches, "devices": devices}).encode()
