"""Steady events to a box while it is hurt, and the account of what became of them."""

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.acceptance.box import Device, House
from tests.acceptance.checks import check_clock
from tests.acceptance.crashes.checks import check_counts, check_effects, committed, wait_until_settled
from tests.acceptance.crashes.tasks import Notebook
from tests.wait import wait_for

RATE = 25.0
"""Events a second."""
UNSAFE_EVERY = 5
"""One in so many starts a command that must not happen twice; the others are answered in the reflex lane."""
SETTLE_SECONDS = 90.0
UNWRITTEN_SECONDS = 3.0

_numbers = itertools.count(1_000_000, 100_000)


@dataclass
class Load:
    """``RATE`` events a second from a thread. ``sent`` has the numbers by task."""

    house: House
    device: Device
    sent: dict[str, set[int]] = field(default_factory=lambda: {"m_reflex": set(), "m_unsafe": set()})
    broker_died: list[float] = field(default_factory=list)
    """When (monotonic) the broker was killed."""

    def __post_init__(self) -> None:
        self._first = next(_numbers)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load")

    def _run(self) -> None:
        began = time.monotonic()
        for index in itertools.count():
            if self._stop.wait(max(0.0, began + index / RATE - time.monotonic())):
                return
            task = "m_reflex" if index % UNSAFE_EVERY else "m_unsafe"
            seq = self._first + index + (0 if task == "m_reflex" else 50_000)
            self.sent[task].add(seq)
            self.device.send(seq, task.replace("_", "/"))

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(30)

    def acknowledged(self, task: str) -> set[int]:
        """What the broker has confirmed."""
        return self.sent[task] & self.device.acknowledged.keys()

    def doubtful(self) -> set[int]:
        """Of which the box cannot know that they come again: the device's own repeats, and what the broker had given
        out just before it died. NATS writes down a moment later what it gave out, and how far that was acknowledged;
        a killed one gives it out again, and does not mark it."""
        confirmed = self.device.acknowledged.items()
        return set(self.device.doubtful) | {
            seq
            for seq, at in confirmed
            if any(died - UNWRITTEN_SECONDS < at < died + 1 for died in self.broker_died)
        }

    @property
    def count(self) -> int:
        return sum(len(self.acknowledged(task)) for task in self.sent)

    def goes_on(self, seconds: float = 60, more: int = int(RATE)) -> None:
        """Wait until the broker has confirmed ``more`` events than it has now."""
        now = self.count
        wait_for(lambda: self.count >= now + more, seconds, "the broker confirms events again")


@contextmanager
def under_load(house: House, notebook: Notebook) -> Iterator[Load]:
    """Load while the block runs; after it, every event that was acknowledged must have its run, no unsafe command
    have happened twice, no step on record have run again, the clock be complete, and the audit whole."""
    with house.device() as device:
        load = Load(house, device)
        load.start()
        try:
            wait_for(lambda: load.count >= RATE, 30, "the broker confirms the first events")
            yield load
        finally:
            load.stop()
        check(load, notebook)


def check(load: Load, notebook: Notebook) -> None:
    house, total = load.house, sum(len(numbers) for numbers in load.sent.values())
    house.wait_ready(90)
    wait_for(lambda: load.count == total, 60, "the broker confirms all that was sent")
    before = committed(house, notebook, "m_unsafe")
    twice = {}
    for task in load.sent:
        wanted = load.acknowledged(task)
        wait_until_settled(house, task, wanted, SETTLE_SECONDS)
        twice[task] = check_counts(house, task, wanted, load.doubtful())
    check_effects(house, notebook, "m_unsafe", before)
    check_clock(house)
    house.box.manage("audit", "verify")
    print(f"{total} acknowledged, 0 lost; taken twice {twice}; ambiguous {ambiguous(house)}")


def ambiguous(house: House) -> int:
    """Unsafe commands that were under way when something died: they wait for a person."""
    rows = house.sql("SELECT count(*) FROM runs_run WHERE waiting_for = 'ambiguous'")
    return int(rows[0]["count"])
