"""Which runs a worker takes: a hint takes no place while others wait for one."""

import asyncio
from dataclasses import dataclass, field
from uuid import UUID

from appliance.runs.taking import Taking
from tests.wait import wait_for_async


@dataclass
class Worker:
    """``queue`` is what the database would give, the next first."""

    places: int
    queue: list[UUID] = field(default_factory=list)
    taken: list[UUID] = field(default_factory=list)
    looks: int = 0
    meanwhile: list[UUID] = field(default_factory=list)
    """What is queued, and hinted at, while the next look is under way: it does not see them."""

    def __post_init__(self) -> None:
        self.taking = Taking(self.following, lambda: self.places, self.take)

    def take(self, run_id: UUID) -> None:
        self.taken.append(run_id)
        self.places -= 1

    async def following(self, room: int) -> tuple[list[UUID], bool]:
        self.looks += 1
        found, self.queue = self.queue[:room], self.queue[room:]
        more = bool(self.queue)
        await asyncio.sleep(0)
        heard, self.meanwhile = self.meanwhile, []
        self.queue += heard
        for run_id in heard:
            self.taking.hear(run_id)
        return found, more

    def free(self, places: int) -> None:
        self.places += places
        self.taking.go_on()


def ids(first: int, count: int) -> list[UUID]:
    return [UUID(int=number) for number in range(first, first + count)]


async def test_a_hint_is_taken_at_once_while_there_is_room_for_all() -> None:
    worker = Worker(places=2)
    for run_id in ids(1, 2):
        worker.taking.hear(run_id)
    assert worker.taken == ids(1, 2)
    assert worker.looks == 0


async def test_a_place_that_becomes_free_is_the_queues_and_not_the_next_hints() -> None:
    worker = Worker(places=0, queue=ids(10, 3))
    worker.taking.hear(UUID(int=1))
    worker.places = 1
    worker.taking.hear(UUID(int=2))
    await wait_for_async(lambda: worker.taken, 5)
    assert worker.taken == ids(10, 1)
    worker.free(2)
    await wait_for_async(lambda: len(worker.taken) == 3, 5)
    assert worker.taken == ids(10, 3)


async def test_hints_that_come_during_a_look_do_not_take_what_it_found_a_place_for() -> None:
    worker = Worker(places=0, queue=ids(10, 1))
    worker.taking.hear(UUID(int=1))
    worker.meanwhile = ids(20, 5)
    worker.free(1)
    await wait_for_async(lambda: worker.taken, 5)
    assert worker.taken == ids(10, 1)


async def test_what_was_hinted_at_during_a_look_is_looked_for_again() -> None:
    worker = Worker(places=0, queue=ids(10, 1))
    worker.taking.hear(UUID(int=1))
    worker.meanwhile = ids(20, 1)
    worker.free(2)
    await wait_for_async(lambda: len(worker.taken) == 2, 5)
    assert worker.taken == [*ids(10, 1), *ids(20, 1)]


async def test_when_nobody_waits_any_more_a_hint_is_taken_at_once_again() -> None:
    worker = Worker(places=0)
    worker.taking.hear(UUID(int=1))
    worker.free(2)
    assert worker.taking.catching_up is not None
    await worker.taking.catching_up
    worker.taking.hear(UUID(int=2))
    assert worker.taken == ids(2, 1)


async def test_a_place_that_a_hint_took_during_a_look_leaves_the_rest_to_the_next_one() -> None:
    worker = Worker(places=1, queue=ids(10, 1), meanwhile=ids(20, 1))
    await worker.taking.look()
    assert worker.taken == ids(20, 1)
    worker.queue = ids(10, 1)
    worker.free(1)
    await wait_for_async(lambda: len(worker.taken) == 2, 5)
    assert worker.taken == [*ids(20, 1), *ids(10, 1)]
