"""The asyncio side of the process sandbox."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn

from pydantic import BaseModel, ConfigDict, ValidationError

from appliance.lib.leaving import Leaving
from appliance.sandbox.ebpf.record import Observed
from appliance.sandbox.ebpf.watched import Watched
from appliance.sandbox.errors import JobLost, JobRefused, SandboxUnavailable
from appliance.sandbox.ports import Captured, CheckpointFile, Job, Outcome, OutputListener, Usage
from appliance.sandbox.process import wire
from appliance.sandbox.process.conversation import Conversation
from appliance.sandbox.process.described import describe, within_limit
from appliance.sandbox.process.spare import Spare

_START_SECONDS = 15.0
_END_SECONDS = 20.0  # grace, killing, and sending what was kept
_CANCEL_SECONDS = 6.0
_STREAM_NAMES = {wire.OUTPUT: "stdout", wire.ERRORS: "stderr"}


@dataclass(frozen=True, slots=True)
class Confinement:
    """What the spawner can hold a job to on this machine."""

    landlock_abi: int
    signals_scoped: bool
    system_calls_filtered: bool
    own_user: bool
    uid: int


class _Result(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    exit_status: int | None
    signal: int | None
    timed_out: bool
    cancelled: bool
    stopped: bool
    started_at: float
    duration: float
    usage: tuple[float, float, int]
    stdout: tuple[int, int, int]
    stderr: tuple[int, int, int]
    observed: Observed | None = None
    unwatched: str = ""


class ProcessSandbox:
    """Runs jobs by way of the spawner that listens on ``socket_path``: one connection per job.

    ``ahead``: after a job the next connection is made at once and kept for some seconds. Then ``close`` it.
    """

    _server = "spawner"
    _start_seconds = _START_SECONDS

    def __init__(self, socket_path: Path, *, ahead: bool = False) -> None:
        self._path = socket_path
        self._spare = Spare(socket_path) if ahead else None
        self._running = 0

    @property
    def has_connection(self) -> bool:
        """Whether one is made ahead."""
        return self._spare is not None and self._spare.is_made

    @property
    def works_ahead(self) -> bool:
        return self._spare is not None

    @property
    def is_prepared(self) -> bool:
        """Whether a process waits for its command."""
        return self._spare is not None and self._spare.is_prepared

    @property
    def is_busy(self) -> bool:
        """Whether jobs run: what is made ahead of the next one would only be in their way."""
        return self._running > 0

    def prepare(self, group: str) -> None:
        """Have a process wait for a command in that control group, where anything is made ahead."""
        if self._spare:
            self._spare.prepare(group)

    def close(self) -> None:
        """Let go of what was made ahead."""
        if self._spare:
            self._spare.close()

    async def run(self, job: Job, *, on_output: OutputListener | None = None) -> Outcome:
        """Run ``job`` to its end; see ``Sandbox.run``. An exception from ``on_output`` ends the job too.

        When the awaiting task is cancelled, the cancellation goes on after every process of the job is dead.
        """
        request = self._describe(job, live=on_output is not None)
        earlier = (job.checkpoint.initial if job.checkpoint else None) or b""
        self._running += 1
        try:
            async with self._asked(wire.REQUEST, request, earlier, group=job.cgroup) as conversation:
                try:
                    outcome = await self._follow(conversation, job, on_output)
                except asyncio.CancelledError:
                    await conversation.hang_up(_CANCEL_SECONDS)
                    raise
        finally:
            self._running -= 1
        if self._spare:
            # In which group the next one will be, the one who watches says.
            self._spare.make_soon(None if job.cgroup or self.is_busy else "")
        return outcome

    async def probe(self) -> Confinement:
        """What the spawner can do here. Raises SandboxUnavailable when it is away, or cannot confine."""
        async with self._asked(wire.PROBE, b"") as conversation:
            kind, payload = await self._first_answer(conversation)
        if kind != wire.FACTS:
            raise_answer(kind, payload)
        facts = Confinement(**json.loads(payload))
        if not facts.landlock_abi:
            raise SandboxUnavailable(
                "This machine has no Landlock, without which no command is run.",
                hint="Linux 5.13 or newer with landlock in its lsm= list is needed.",
            )
        return facts

    def _describe(self, job: Job, *, live: bool) -> bytes:
        return within_limit(describe(job, live=live))

    @asynccontextmanager
    async def _asked(
        self, kind: bytes, payload: bytes, behind: bytes = b"", group: str = ""
    ) -> AsyncIterator[Conversation]:
        with (self._spare and self._spare.take(group)) or await self._connected() as connection:
            conversation = Conversation(connection)
            await conversation.say(wire.frame(kind, payload) + behind)
            yield conversation

    async def _connected(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            await asyncio.get_running_loop().sock_connect(connection, str(self._path))
        except BaseException as error:
            connection.close()
            if isinstance(error, OSError):
                raise self._unavailable("cannot be reached") from error
            raise
        return connection

    async def _first_answer(self, conversation: Conversation) -> tuple[bytes, bytes]:
        try:
            return await conversation.hear(self._start_seconds)
        except OSError as error:
            # STARTED may come just now. After the last word it cannot: then no job is begun.
            if answer := conversation.last_word():
                return answer
            raise self._unavailable("gave no answer") from error

    async def _follow(
        self, conversation: Conversation, job: Job, on_output: OutputListener | None
    ) -> Outcome:
        kind, payload = await self._first_answer(conversation)
        if kind != wire.STARTED:
            raise_answer(kind, payload)
        leaving = job.leaving or Leaving()
        with leaving.heard_by(lambda: conversation.put_in(wire.STOP)):
            return await self._until_over(conversation, job, on_output)

    async def _until_over(
        self, conversation: Conversation, job: Job, on_output: OutputListener | None
    ) -> Outcome:
        loop = asyncio.get_running_loop()
        give_up = loop.time() + job.timeout + _END_SECONDS
        while True:
            try:
                kind, payload = await conversation.hear(give_up - loop.time())
            except OSError as error:
                raise JobLost(
                    "The sandbox went away while the command ran.",
                    hint=f"It may have done its work or not. The {self._server}'s log says more.",
                ) from error
            if kind == wire.RESULT:
                return _outcome(payload)
            if kind in (wire.CHECKPOINT, wire.NOTE) and job.checkpoint:
                await _take_checkpoint(job.checkpoint, kind, payload)
                continue
            if kind == wire.REFUSED:
                raise_answer(kind, payload)
            if kind not in _STREAM_NAMES:
                raise JobLost(_lost(kind, payload), hint="It may have done its work or not.")
            if on_output:
                on_output(_STREAM_NAMES[kind], payload)

    def _unavailable(self, what: str) -> SandboxUnavailable:
        hint = "Is it running? Its log says why not."
        return SandboxUnavailable(f"The {self._server} at {self._path} {what}.", hint=hint)


async def _take_checkpoint(file: CheckpointFile, kind: bytes, payload: bytes) -> None:
    if kind == wire.CHECKPOINT:
        await file.keep(payload)
    else:
        file.note(payload.decode("utf-8", "replace"))


def _lost(kind: bytes, payload: bytes) -> str:
    """Why a job that has begun has no result. That its sandbox is away then does not say that nothing ran."""
    if kind == wire.UNAVAILABLE:
        return str(json.loads(payload)["message"])
    return "The sandbox gave an answer that this client does not know."


def raise_answer(kind: bytes, payload: bytes) -> NoReturn:
    if kind not in (wire.REFUSED, wire.UNAVAILABLE):
        raise SandboxUnavailable("The spawner gave an answer that this client does not know.")
    answer = json.loads(payload)
    error = JobRefused if kind == wire.REFUSED else SandboxUnavailable
    raise error(answer["message"], hint=answer["hint"])


def _outcome(payload: bytes) -> Outcome:
    description, rest = wire.unpack_result(payload)
    try:
        result = _Result.model_validate_json(description)
    except ValidationError as error:
        raise JobLost("The spawner gave a result that this client does not know.") from error
    captured: list[Captured] = []
    for head, tail, total in (result.stdout, result.stderr):
        captured.append(Captured(bytes(rest[:head]), bytes(rest[head : head + tail]), total))
        rest = rest[head + tail :]
    return Outcome(
        exit_status=result.exit_status,
        signal=result.signal,
        timed_out=result.timed_out,
        cancelled=result.cancelled,
        stdout=captured[0],
        stderr=captured[1],
        started_at=datetime.fromtimestamp(result.started_at, UTC),
        duration=timedelta(seconds=result.duration),
        usage=Usage(*result.usage),
        stopped=result.stopped,
        watched=Watched(result.observed, result.unwatched) if result.observed or result.unwatched else None,
    )
