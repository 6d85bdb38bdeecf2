"""While a target is away those who wait for it stand in line: the oldest acts first, and nobody overtakes (P7)."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async
from psycopg import AsyncConnection

from appliance.accounts.principal import BOX
from appliance.bus.errors import BusAway
from appliance.lib.clock import Moment
from appliance.lib.priority import Priority
from appliance.processes.parts import DefinitionCache
from appliance.runs import away, services
from appliance.runs.away import Lines
from appliance.runs.domain import Lease
from appliance.runs.places import Places
from appliance.runs.plan import Progress
from appliance.runs.rows import LeaseLost
from appliance.runs.walk import Walk
from appliance.safety.errors import SecretMissing
from appliance.tasks.errors import TaskFileError
from tests.brokers import free_port
from tests.integration.runs.conftest import Engine, task
from tests.wait import wait_for_async

VALVE = task("    - {id: say, type: mqtt, topic: plant/VALVE, payload: WORD}\n")


class Broker:
    """Publishes only where ``up`` says so; ``done`` is what got through."""

    def __init__(self, engine: Engine) -> None:
        self.up = False
        self.done: list[str] = []
        engine.world.publishing = self.publish

    async def publish(self, topic: str, payload: bytes) -> None:
        if not self.up:
            raise BusAway("not connected")
        self.done.append(payload.decode())


@pytest.fixture
def broker(engine: Engine) -> Broker:
    return Broker(engine)


async def say(engine: Engine, word: str, valve: str = "a", text: str = VALVE) -> UUID:
    """A run of a task that says this, not looked at by anybody yet."""
    return await engine.begin(text.replace("WORD", word).replace("VALVE", valve))


async def waiting(engine: Engine, *words: str, text: str = VALVE) -> list[UUID]:
    """Runs that say these words, each as far as it comes while the broker is away."""
    runs = [await say(engine, word, text=text) for word in words]
    for run_id in runs:
        await engine.perform(run_id)
        assert await engine.state(run_id) == "waiting:network"
    return runs


async def wake(engine: Engine, run_id: UUID) -> dict[str, Any]:
    """As when its time to look has come; gives the row once a worker has let go of it."""
    await engine.sql(
        "UPDATE runs_run SET state = 'queued', waiting_for = '', wake_at = NULL WHERE id = %s", run_id
    )
    return await engine.perform(run_id)


async def places(engine: Engine) -> list[tuple[UUID, str, bool]]:
    rows = await engine.sql("SELECT run_id, target, behind FROM runs_away ORDER BY run_id")
    return [(row["run_id"], row["target"], row["behind"]) for row in rows]


async def test_what_waited_comes_out_in_order_whoever_looks_first(engine: Engine, broker: Broker) -> None:
    first, second, third = await waiting(engine, "open", "close", "open again")
    target = "mqtt:plant/a"
    assert await places(engine) == [(first, target, False), (second, target, True), (third, target, True)]
    # The first tries again soon; those behind are woken, and a long line costs no claims meanwhile.
    looks = [(await engine.run(one))["wake_at"] - engine.clock.now() for one in (first, second, third)]
    assert looks[0] < timedelta(seconds=15)
    assert min(looks[1:]) > timedelta(minutes=30)
    broker.up = True
    row = await wake(engine, third)
    assert (row["state"], row["waiting_for"]) == ("waiting", "network")
    assert broker.done == []
    # Each that got through brings the next along at once, without anybody else's help.
    await wake(engine, first)
    assert broker.done == ["open", "close", "open again"]
    assert [await engine.state(one) for one in (first, second, third)] == ["succeeded"] * 3
    assert await places(engine) == []


async def test_a_run_that_begins_when_the_target_is_back_does_not_overtake(
    engine: Engine, broker: Broker
) -> None:
    (first,) = await waiting(engine, "open")
    broker.up = True
    late = await say(engine, "close")
    await engine.perform(late)
    assert await engine.state(late) == "waiting:network"
    assert "earlier runs wait for mqtt:plant/a" in (await engine.run(late))["reason"]
    await wake(engine, first)
    assert broker.done == ["open", "close"]


async def test_one_that_reaches_its_step_later_asks_again_before_it_acts(
    engine: Engine, broker: Broker
) -> None:
    """What the claim said is old by then: the statement of the intent says it anew."""
    words = "    - {id: tell, type: mqtt, topic: hall, payload: hello}\n"
    first = await say(engine, "open")
    late = await say(engine, "close", text=VALVE.replace("  actions:\n", f"  actions:\n{words}"))

    async def meanwhile(topic: str, payload: bytes) -> None:
        """While the later run does its first step, the older one finds the broker away."""
        if topic == "hall":
            broker.up = False
            engine.world.publishing = broker.publish
            await engine.perform(first, engine.worker())
            assert await engine.state(first) == "waiting:network"
            broker.up = True
        await broker.publish(topic, payload)

    engine.world.publishing = meanwhile
    await engine.perform(late)
    assert await engine.state(late) == "waiting:network"
    assert broker.done == ["hello"]
    await wake(engine, first)
    assert broker.done == ["hello", "open", "close"]


async def test_other_topics_do_not_wait_for_it(engine: Engine, broker: Broker) -> None:
    await waiting(engine, "open")
    broker.up = True
    other = await say(engine, "close", "b")
    assert (await engine.perform(other))["state"] == "succeeded"


END = {
    "cancelled": "UPDATE runs_run SET state = 'cancelled', waiting_for = '' WHERE id = %s",
    "failed": "UPDATE runs_run SET state = 'failed', waiting_for = '' WHERE id = %s",
    "poisoned": "UPDATE runs_run SET state = 'poisoned', waiting_for = '' WHERE id = %s",
    "waits for another reason": "UPDATE runs_run SET waiting_for = 'plant_state' WHERE id = %s",
    "is deleted": "DELETE FROM runs_run WHERE id = %s",
}


async def test_who_takes_its_place_when_nobody_is_before_it_any_more_goes_on(
    engine: Engine, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first,) = await waiting(engine, "open")
    broker.up = True
    join = away.join

    async def late(connection: AsyncConnection[Any], run_id: UUID, place: away.Place) -> None:
        """The first one ends between the look and the place."""
        await engine.sql(END["cancelled"], first)
        await join(connection, run_id, place)

    monkeypatch.setattr(away, "join", late)
    row = await engine.perform(await say(engine, "close"))
    assert (row["state"], broker.done) == ("succeeded", ["close"])


@pytest.mark.parametrize("how", END)
async def test_who_waits_no_more_is_in_nobodys_way(engine: Engine, broker: Broker, how: str) -> None:
    first, second = await waiting(engine, "open", "close")
    lines = Lines(engine.pool)
    assert await lines.hand_on() == []
    await engine.sql(END[how], first)
    assert await lines.hand_on() == [second]
    broker.up = True
    assert (await engine.perform(second))["state"] == "succeeded"
    assert broker.done == ["close"]


async def test_the_first_is_as_urgent_as_the_most_urgent_one_behind_it(
    engine: Engine, broker: Broker
) -> None:
    """Workers that never come to what is less urgent would keep what is urgent waiting behind it."""
    low, high = (VALVE.replace("  actions:", f"  priority: {one}\n  actions:") for one in ("low", "high"))
    (first,) = await waiting(engine, "open", text=low)
    await waiting(engine, "close", text=high)
    (last,) = await waiting(engine, "open again", text=low)
    elsewhere = low.replace("VALVE", "b")
    (other,) = await waiting(engine, "open", text=elsewhere)
    await engine.sql("UPDATE runs_run SET state = 'queued', waiting_for = ''")

    async def urgency() -> list[int]:
        return [(await engine.run(one))["priority"] for one in (first, last, other)]

    was = await urgency()
    await Lines(engine.pool).hand_on()
    assert await urgency() == [Priority.HIGH.rank, was[1], was[2]]
    assert was == [Priority.LOW.rank] * 3


async def test_a_person_who_cancels_the_first_lets_the_second_go(engine: Engine, broker: Broker) -> None:
    first, second = await waiting(engine, "open", "close")
    await sync_to_async(services.cancel)(first, BOX)
    assert await Lines(engine.pool).hand_on() == [second]
    assert [place[0] for place in await places(engine)] == [second]
    broker.up = True
    await engine.perform(second)
    assert broker.done == ["close"]


async def test_a_time_limit_that_passes_lets_the_next_go(engine: Engine, broker: Broker) -> None:
    first, second = await waiting(engine, "open", "close")
    await engine.sql("UPDATE runs_run SET deadline = %s WHERE id = %s", engine.clock.now(), first)
    broker.up = True
    row = await wake(engine, first)
    assert (row["state"], broker.done) == ("failed", ["close"])
    assert await engine.state(second) == "succeeded"


async def test_one_that_goes_on_to_another_target_leaves_its_place(engine: Engine, broker: Broker) -> None:
    stated = task("""    - {id: say, type: mqtt, topic: "plant/{{ state('which') }}", payload: x}\n""")
    topic = (
        "INSERT INTO bus_topicvalue (topic, payload, size, retained, value, quality, at, count, rate) "
        "VALUES ('which', 'a', 1, false, to_jsonb(%s::text), 'good', now(), 1, 0) "
        "ON CONFLICT (topic) DO UPDATE SET value = excluded.value"
    )
    await engine.sql(topic, "a")
    first, second = await waiting(engine, "x", "x", text=stated)
    await engine.sql(topic, "b")
    stands: list[str] = []

    async def publish(topic: str, payload: bytes) -> None:
        if topic == "plant/b":
            stands.extend(place[1] for place in await places(engine) if place[0] == first)

    engine.world.publishing = publish
    assert (await wake(engine, first))["state"] == "succeeded"
    assert stands == []
    assert await engine.state(second) == "succeeded"


async def test_a_stale_worker_gives_up_nobodys_place(engine: Engine, broker: Broker) -> None:
    """P4: the run is another worker's, which stands in line with it."""
    (run_id,) = await waiting(engine, "open")
    await engine.sql("UPDATE runs_run SET state = 'queued', waiting_for = '' WHERE id = %s", run_id)
    ledger = engine.ledger()
    row = await ledger.claim(run_id)
    assert row is not None
    lease = Lease(row.id, ledger.owner, row.epoch, Moment.of(engine.clock))
    definition = await DefinitionCache().get(row.version_id)
    stale = Walk(row, lease, definition, Progress(), {}, lease.claimed, in_line="mqtt:plant/a")
    places_of = Places(ledger)
    await engine.recover(run_id)
    with pytest.raises(LeaseLost):
        await places_of.is_behind(stale, "mqtt:plant/b")
    assert await places(engine) == [(run_id, "mqtt:plant/a", False)]


async def test_too_late_is_not_done_any_more(engine: Engine, broker: Broker) -> None:
    text = VALVE.replace("id: say,", "id: say, valid_for: 30s,")
    first, second = await waiting(engine, "open", "close", text=text)
    assert (await engine.run(second))["wake_at"] <= engine.clock.now() + timedelta(seconds=30)
    engine.clock.advance(timedelta(seconds=31))
    late = await say(engine, "open again", text=text)
    broker.up = True
    row = await wake(engine, first)
    assert row["state"] == "failed"
    assert "too late: it was to act at" in row["reason"]
    assert "is valid for 30s" in row["reason"]
    assert await engine.state(second) == "failed"
    await engine.perform(late)
    assert broker.done == ["open again"]


async def test_valid_for_counts_what_the_plant_made_it_wait(engine: Engine, broker: Broker) -> None:
    text = VALVE.replace(
        "id: say,", """id: say, valid_for: 30s, gate: {plant_state: "{{ state('ok') == 'y' }}"},"""
    )
    broker.up = True
    run_id = await say(engine, "open", text=text)
    await engine.perform(run_id)
    assert await engine.state(run_id) == "waiting:plant_state"
    engine.clock.advance(timedelta(seconds=31))
    row = await wake(engine, run_id)
    assert (row["state"], broker.done) == ("failed", [])
    assert "too late" in row["reason"]


@pytest.mark.parametrize(
    ("kind", "value"), [("mqtt, topic: a/b", "soon"), ("mqtt, topic: a/b", "0s"), ("set, value: 1", "5m")]
)
async def test_a_validity_that_means_nothing_is_refused_at_save(
    engine: Engine, kind: str, value: str
) -> None:
    with pytest.raises(TaskFileError, match="valid_for"):
        await engine.load(task(f"    - {{id: say, type: {kind}, valid_for: {value}}}\n"))


async def test_a_secret_that_is_missing_fails_the_step_and_parks_no_run(engine: Engine) -> None:
    """It is looked for when the connection is made, before anything is published."""

    async def reaching(patience: float) -> bool:
        raise SecretMissing("there is no secret hall")

    async def publishing(topic: str, payload: bytes) -> None:
        raise SecretMissing("there is no secret hall")

    engine.world.reaching, engine.world.publishing = reaching, publishing
    row = await engine.perform(await say(engine, "open"))
    assert (row["state"], row["epoch"]) == ("failed", 1)
    assert "there is no secret hall" in row["reason"]


async def test_an_http_step_that_may_wait_stands_in_line_for_its_address(engine: Engine) -> None:
    port = free_port()
    step = (
        "    - {id: call, type: http, method: POST, allow_private: true, url: 'http://127.0.0.1:%d/%s'%s}\n"
    )
    await engine.load(task(step % (port, "a", ", valid_for: 1h")))
    first = await engine.start("t")
    await engine.perform(first)
    assert await engine.state(first) == "waiting:network"
    assert await places(engine) == [(first, f"http:http://127.0.0.1:{port}", False)]
    await engine.load(task(step % (port, "b", ", valid_for: 1h")))
    second = await engine.start("t")
    await engine.perform(second)
    assert (await places(engine))[1][2]
    await engine.load(task(step % (port, "c", "")))
    third = await engine.start("t")
    assert (await engine.perform(third))["state"] == "failed"


async def test_nothing_more_is_asked_while_nobody_waits(engine: Engine, broker: Broker) -> None:
    """The claim and the intent bring the answer along: a run is three times at the database, as if there were no
    lines."""
    broker.up = True
    worker = engine.worker()
    await engine.perform(await say(engine, "first"), worker)  # which reads the policy
    run_id = await say(engine, "open")
    before = engine.pool.get_stats()["requests_num"]
    worker.attend(run_id)
    await wait_for_async(lambda: worker.active == 0, 15, "the worker lets go of the run")
    assert engine.pool.get_stats()["requests_num"] - before == 3
    assert broker.done == ["first", "open"]
