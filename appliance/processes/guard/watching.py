"""The kernel's rules as guard serves them, or why it has none: said at once and in each answer."""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_network

from appliance.lib.config import KernelRulesMode
from appliance.sandbox.docker.request import JobRequest, Reach, UnwatchedRequest, WatchRequest
from appliance.sandbox.ebpf.errors import NoKernelRules
from appliance.sandbox.ebpf.rules import KernelRules, Wanted, Watch
from appliance.sandbox.ebpf.tables import Destination
from appliance.sandbox.errors import SandboxUnavailable
from appliance.sandbox.ports import label_of
from appliance.sandbox.process import wire
from appliance.sandbox.process.conversation import Conversation

log = logging.getLogger(__name__)

_LONGEST = 8 * 86400.0
"""Seconds: a day more than a job may take."""


class Watching:
    """All in the loop's own thread: what is done takes microseconds."""

    def __init__(self, home_id: str, mode: KernelRulesMode) -> None:
        self._home_id = home_id
        self._mode = mode
        self._rules: KernelRules | None = None
        self._lacking = "MILLWRIGHT_KERNEL_RULES is off" if mode is KernelRulesMode.OFF else "not loaded yet"
        self._opened = False
        self._tasks: set[asyncio.Task[object]] = set()
        self._without: dict[object, str] = {}
        """The jobs that run without rules, by a key of their own."""

    def open(self) -> None:
        """Load and attach, where this machine lets us: once in guard's life."""
        self._opened = True
        if self._mode is KernelRulesMode.OFF:
            return
        try:
            self._rules = KernelRules(self._home_id, time.monotonic)
        except NoKernelRules as error:
            self._lacking = error.said
            log.warning("no rules of the kernel for jobs: %s", error.said)
            return
        asyncio.get_running_loop().add_reader(self._rules.descriptor, self._rules.consume)
        log.info("the kernel's rules are in force in %s", self._rules.tree)

    def state(self) -> dict[str, object]:
        off = self._mode is KernelRulesMode.OFF
        return {"healthy": self._rules is not None or off, "message": "" if self._rules else self._lacking}

    async def serve(self, request: WatchRequest, conversation: Conversation) -> bytes:
        """One job that the spawner runs: its control group now, what it did when the client has shut its side.

        Raises SandboxUnavailable.
        """
        if self._rules is None:
            said = {"absent": self._lacking, "lasting": self._opened}
            return wire.frame(wire.FACTS, json.dumps(said).encode())
        rules = self._rules
        try:
            watch = rules.begin(Wanted(_destinations(request.network), request.devices))
        except NoKernelRules as error:
            raise SandboxUnavailable(error.reason, hint=error.hint) from error
        with self._until_let_go():
            try:
                await conversation.say(wire.frame(wire.FACTS, json.dumps({"cgroup": watch.name}).encode()))
                await _until_shut(conversation)
            except asyncio.CancelledError:
                raise  # we stop: the job goes on, and so do its rules
            except BaseException:
                rules.end(watch)
                raise
        return wire.frame(wire.WATCHED, rules.end(watch).model_dump_json().encode())

    def contained(self, pid: int, container: str, request: JobRequest) -> Callable[[], dict[str, object]]:
        """See ``runner.Watcher``."""
        rules, reason = self._rules, self._lacking
        if rules is not None:
            try:
                watch = rules.begin_container(pid, container, Wanted(_destinations(request.network)))
            except NoKernelRules as error:
                reason = error.said
            else:
                return lambda: _told(rules, watch)
        if request.must_limit:
            raise SandboxUnavailable(f"The network that the step declares cannot be enforced: {reason}.")
        return self._not_watched(label_of(request.run, request.step), reason)

    def _not_watched(self, label: str, reason: str) -> Callable[[], dict[str, object]]:
        key = object()
        self._without[key] = label

        def over() -> dict[str, object]:
            self._without.pop(key, None)
            return {"unwatched": reason}

        return over

    async def remember(self, request: UnwatchedRequest, conversation: Conversation) -> bytes:
        """A job that was begun while nobody watched, for as long as it runs."""
        over = self._not_watched(request.label, "")
        with self._until_let_go():
            try:
                await _until_shut(conversation)
            finally:
                over()
        return b""

    def unwatched(self) -> list[str]:
        """What runs without rules."""
        return sorted(set(self._without.values()))

    def set_cut(self, cut: bool) -> str:
        """Let nothing leave any watched job, or no longer; why that cannot be, or nothing."""
        if self._rules is None:
            return self._lacking
        try:
            self._rules.set_cut(cut)
        except NoKernelRules as error:
            return error.said
        return ""

    def tidy(self) -> None:
        if self._rules:
            self._rules.tidy()

    def forget_containers(self) -> None:
        """The containers of an earlier guard are gone."""
        if self._rules:
            self._rules.forget_containers()

    @contextmanager
    def _until_let_go(self) -> Iterator[None]:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        try:
            yield
        finally:
            self._tasks.discard(task)

    def let_go(self) -> None:
        """Follow no job any more; their rules stay."""
        for task in self._tasks:
            task.cancel()

    def close(self) -> None:
        if self._rules:
            asyncio.get_running_loop().remove_reader(self._rules.descriptor)
            self._rules.close()


async def _until_shut(conversation: Conversation) -> None:
    try:
        await conversation.hear(_LONGEST)
    except OSError:
        return


def _told(rules: KernelRules, watch: Watch) -> dict[str, object]:
    return {"observed": rules.end(watch).model_dump(mode="json")}


def _destinations(network: Sequence[Reach] | None) -> list[Destination] | None:
    if network is None:
        return None
    return [Destination(ip_network(reach.network), reach.port) for reach in network]
