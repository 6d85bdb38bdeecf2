"""Guard's socket: who asks is looked at, what is asked is read as one of a few verbs, and the answer is sent."""

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import signal
import socket
from collections.abc import Iterator

from appliance.lib.clock import SystemClock
from appliance.processes.guard.obeying import Obeying
from appliance.processes.guard.options import Options
from appliance.processes.guard.refusals import Cause, Refusals
from appliance.processes.guard.watching import Watching
from appliance.processes.launch import start_time
from appliance.sandbox.docker.engine import Engine, EngineRefused, Facts
from appliance.sandbox.docker.model_containers import ModelContainers
from appliance.sandbox.docker.model_request import ModelRequest
from appliance.sandbox.docker.pool import Pool
from appliance.sandbox.docker.presence import engine_missing
from appliance.sandbox.docker.request import (
    CancelRequest,
    CleanupRequest,
    JobRequest,
    ListRequest,
    RefusalsRequest,
    Request,
    RunRequest,
    UnwatchedRequest,
    WatchRequest,
    parse_request,
)
from appliance.sandbox.docker.runner import Runner
from appliance.sandbox.docker.templates import TOOLS
from appliance.sandbox.egress import Egress
from appliance.sandbox.errors import SandboxUnavailable
from appliance.sandbox.process import peer, wire
from appliance.sandbox.process.conversation import Conversation, TooLarge
from appliance.sandbox.process.request import Refused

log = logging.getLogger(__name__)

_REQUEST_SECONDS = 5.0
_SEND_SECONDS = 10.0
_LOOK_SECONDS = 5.0
_FACTS_SECONDS = 5.0
_MOST_JOBS = 64
_MOST_ASKING = 256


class AlreadyServed(Exception):
    """Another guard serves this socket."""


class CannotLock(Exception):
    """The lock beside the socket cannot be used: there may be a link in its place."""


class Server:
    """One task for each connection, and one that tidies up."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._engine = Engine(options.engine, options.home_id)
        self._pool = Pool(self._engine, SystemClock(), size=options.pool, idle=options.idle)
        self._watching = Watching(options.home_id, options.kernel_rules)
        self._runner = Runner(self._engine, self._pool, options.rules, options.tools, self._watching)
        rules = options.rules
        self._models = ModelContainers(
            self._engine,
            options.home_id,
            options.models,
            options.cache,
            options.model_images,
            rules.uid,
            rules.gid,
            options.model_network,
        )
        self._egress = Egress(self._watching.set_cut, self._watching.unwatched)
        self._refusals = Refusals()
        self._facts: tuple[float, Facts] | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._clean = False

    async def serve(self) -> None:
        """Serve until SIGTERM or SIGINT; then end every job and every container first."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        with _lock(self._options), _listen(self._options) as listener:
            self._watching.open()
            tidying = asyncio.create_task(self._tidy())
            obeying = asyncio.create_task(self._obeying().forever())
            accepting = asyncio.create_task(self._accept(listener))
            log.info("listening on %s", self._options.socket)
            await stop.wait()
            accepting.cancel()
            tidying.cancel()
            obeying.cancel()
        await asyncio.gather(accepting, tidying, obeying, return_exceptions=True)
        with contextlib.suppress(SandboxUnavailable, EngineRefused):
            await self._runner.cancel("")
        self._watching.let_go()
        if self._serving:
            await asyncio.wait(self._serving, timeout=_SEND_SECONDS)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SEND_SECONDS):
                await self._pool.close()
        self._watching.close()
        self._engine.close()
        self._options.socket.unlink(missing_ok=True)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            connection, _ = await loop.sock_accept(listener)
            connection.setblocking(False)
            if len(self._serving) >= _MOST_ASKING:
                connection.close()
                continue
            task = asyncio.create_task(self._converse(connection))
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)

    async def _tidy(self) -> None:
        """Remove what an earlier guard left, as soon as the engine is there, and what nobody wants any more."""
        said = ""
        while True:
            self._watching.tidy()
            try:
                if not self._clean:
                    left = await self._runner.cleanup()
                    self._clean = True
                    self._watching.forget_containers()
                    log.info("removed %d container(s) of an earlier guard", left)
                await self._pool.tidy()
                said = ""
            except (SandboxUnavailable, EngineRefused) as error:
                if said != str(error):  # once, not for as long as it is away
                    log.warning("%s", error)
                said = str(error)
            await asyncio.sleep(_LOOK_SECONDS)

    def _obeying(self) -> Obeying:
        return Obeying(
            self._options.stop_file.level,
            self._egress.set_cut,
            jobs=lambda: bool(self._runner.jobs),
            kill=lambda: self._runner.cancel(""),
        )

    async def _converse(self, connection: socket.socket) -> None:
        with connection:
            try:
                answer = await self._answer(connection)
            except Refused as error:
                answer = _told(wire.REFUSED, error.message, error.hint)
            except SandboxUnavailable as error:
                answer = _told(wire.UNAVAILABLE, error.message, error.hint)
            except (TimeoutError, ConnectionError):
                return  # the client went away before it said what it wants
            except Exception:
                log.exception("a request failed")
                answer = _told(wire.UNAVAILABLE, "Guard failed at this; its log says more.", None)
            with contextlib.suppress(OSError):
                async with asyncio.timeout(_SEND_SECONDS):
                    await asyncio.get_running_loop().sock_sendall(connection, answer)

    async def _answer(self, connection: socket.socket) -> bytes:
        with self._refusals.at(Cause.PEER, connection):
            self._check_peer(connection)
        conversation = Conversation(connection, wire.MAX_REQUEST)
        with self._refusals.at(Cause.SCHEMA, connection):
            request = await _heard(conversation)
        if isinstance(request, JobRequest):
            with self._refusals.at(Cause.JOB, connection):
                return await self._run(request, conversation, connection)
        if isinstance(request, ModelRequest):
            with self._refusals.at(Cause.JOB, connection):
                await self._check_engine()
                return _facts(await self._models.answer(request))
        if isinstance(request, WatchRequest):
            return await self._watching.serve(request, conversation)
        if isinstance(request, UnwatchedRequest):
            return await self._watching.remember(request, conversation)
        if isinstance(request, CancelRequest):
            return _facts({"cancelled": await self._runner.cancel(request.run)})
        if isinstance(request, CleanupRequest):
            return _facts({"removed": await self._runner.cleanup()})
        if isinstance(request, ListRequest):
            return _facts({"jobs": self._jobs(), "ready": self._pool.ready})
        if isinstance(request, RefusalsRequest):
            return _facts(self._refusals.to_json())
        return _facts(await self._state())

    async def _run(self, request: JobRequest, conversation: Conversation, connection: socket.socket) -> bytes:
        size = request.checkpoint.initial if request.checkpoint else 0
        earlier = await conversation.take(size, _REQUEST_SECONDS)
        await self._check_engine()
        if len(self._runner.jobs) >= _MOST_JOBS:
            raise SandboxUnavailable(
                f"{_MOST_JOBS} jobs run already, which is the most that may.",
                hint="Try again when one of them has ended.",
            )
        return await self._runner.run(request, earlier, connection)

    def _check_peer(self, connection: socket.socket) -> None:
        """Only the box's own services, root, and guard's own user; and no job of the process sandbox."""
        shared = self._options.peer_uid == os.geteuid()
        spawner = _recorded(self._options) if shared else None
        if shared and spawner is None:
            raise SandboxUnavailable(
                "Guard cannot tell the box's services from a job, since the spawner does not run.",
                hint="Try again when it does.",
            )
        peer.check(
            connection,
            spawner or os.getpid(),
            peer_uid=self._options.peer_uid,
            jobs_share_user=shared,
        )

    def _jobs(self) -> list[dict[str, object]]:
        return [
            {
                "container": job.container.id,
                "run": job.request.run,
                "step": job.request.step,
                "template": job.request.template if isinstance(job.request, RunRequest) else TOOLS.name,
                "image": job.request.image,
            }
            for job in self._runner.jobs.values()
        ]

    async def _state(self) -> dict[str, object]:
        try:
            facts = await self._engine_facts()
        except SandboxUnavailable as error:
            facts = Facts("", error.message)
        return {
            "healthy": not facts.lacking,
            "message": facts.lacking,
            "absent": engine_missing(self._options.engine),
            "engine": facts.version,
            "ready": self._pool.ready,
            "running": len(self._runner.jobs),
            "rules": self._watching.state(),
            "egress": self._egress.state(),
        }

    async def _check_engine(self) -> None:
        """Whether it can confine as it must. Raises SandboxUnavailable."""
        facts = await self._engine_facts()
        if facts.lacking:
            raise SandboxUnavailable(f"The container engine cannot be used: {facts.lacking}.")

    async def _engine_facts(self) -> Facts:
        """What the engine said a moment ago, or says now."""
        now = asyncio.get_running_loop().time()
        if self._facts is None or now - self._facts[0] > _FACTS_SECONDS:
            self._facts = (now, await self._engine.facts())
        return self._facts[1]


async def _heard(conversation: Conversation) -> Request:
    """Raises Refused where it is none, and what ``Conversation.hear`` does where nothing comes."""
    try:
        kind, payload = await conversation.hear(_REQUEST_SECONDS)
    except TooLarge as error:
        raise Refused(f"A request is one frame of at most {wire.MAX_REQUEST} bytes.") from error
    if kind != wire.REQUEST:
        raise Refused("Guard takes requests only.")
    return parse_request(payload)


def _facts(value: dict[str, object]) -> bytes:
    return wire.frame(wire.FACTS, json.dumps(value).encode())


def _told(kind: bytes, message: str, hint: str | None) -> bytes:
    return wire.frame(kind, json.dumps({"message": message, "hint": hint}).encode())


def _recorded(options: Options) -> int | None:
    """The spawner's process, as the process manager's starter has noted it; None when it does not run."""
    try:
        pid, _, started = options.spawner_pid.read_text().strip().partition(" ")
    except OSError:
        return None
    return int(pid) if pid.isdigit() and started and start_time(int(pid)) == started else None


@contextlib.contextmanager
def _lock(options: Options) -> Iterator[None]:
    # The folder is the services' too: a link there would have root make or lock any other file.
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        lock = os.open(f"{options.socket}.lock", flags, 0o600)
    except OSError as error:
        raise CannotLock(f"the lock {options.socket}.lock cannot be used: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise AlreadyServed(f"another guard serves {options.socket}") from error
    else:
        yield
    finally:
        os.close(lock)


def _listen(options: Options) -> socket.socket:
    """Under its name only once it listens: who finds it is not refused."""
    fresh = options.socket.with_name(f"{options.socket.name}.new")
    fresh.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    before = os.umask(0o177)
    try:
        listener.bind(str(fresh))
    finally:
        os.umask(before)
    if os.geteuid() == 0:
        os.chown(fresh, options.peer_uid, -1, follow_symlinks=False)
    listener.listen(256)
    fresh.replace(options.socket)
    return listener
