"""A condition that must hold, and a burst that must end, are rows with a due time: no restart loses or doubles one."""

import asyncio
from typing import Any

from asgiref.sync import sync_to_async

from appliance.accounts.principal import BOX
from appliance.runs import holds
from appliance.tasks.services import set_enabled
from tests.integration.runs.conftest import Engine
from tests.integration.runs.test_intake import Door, door, letter

HOT = """
- name: t
  vars: {limit: 80}
  triggers:
    - id: hot
      mqtt: {topic: "plant/{pump}/temp", payload: json}
      when: "{{ payload > vars.limit }}"
      for: 30s
  actions: [{type: set, value: "{{ payload }}"}]
"""
BURST = """
- name: t
  triggers:
    - {id: burst, mqtt: {topic: "plant/{pump}/temp", payload: json}, debounce: 5s}
  actions: [{type: set, value: "{{ payload }}"}]
"""
PASS = "UPDATE tasks_hold SET since = since - %s::interval, due_at = due_at - %s::interval"


async def arrive(opened: Door, **values: Any) -> None:
    await opened.intake.deliver([letter(f"plant/{pump}/temp", value) for pump, value in values.items()])


async def pass_time(engine: Engine, length: str) -> None:
    """As the rows see it: their times are further back."""
    await engine.sql(PASS, length, length)


async def fire(opened: Door) -> int:
    return len(await opened.intake.holds_due())


async def payloads(engine: Engine) -> list[Any]:
    rows = await engine.sql("SELECT inputs FROM runs_run ORDER BY id")
    return [row["inputs"]["payload"] for row in rows]


async def traces(engine: Engine) -> list[str]:
    return [row["reason"] for row in await engine.sql("SELECT reason FROM tasks_nottriggered ORDER BY id")]


async def test_a_condition_fires_once_when_it_has_held_that_long(engine: Engine) -> None:
    opened = await door(engine, HOT)
    await arrive(opened, a=81)
    assert await fire(opened) == 0
    await pass_time(engine, "29 seconds")
    assert await fire(opened) == 0
    await arrive(opened, a=90)
    await pass_time(engine, "1 second")
    assert await fire(opened) == 1
    await arrive(opened, a=95)
    await pass_time(engine, "1 hour")
    assert await fire(opened) == 0
    (run,) = await engine.sql("SELECT inputs, reason FROM runs_run")
    assert run["inputs"]["payload"] == 90
    assert "held_since" in run["inputs"]["event"]
    assert run["reason"] == "message on plant/a/temp, held for 30s"


async def test_a_no_in_between_ends_the_hold_and_a_later_yes_begins_anew(engine: Engine) -> None:
    opened = await door(engine, HOT)
    await arrive(opened, a=81)
    await pass_time(engine, "20 seconds")
    await arrive(opened, a=70)
    await pass_time(engine, "20 seconds")
    assert await fire(opened) == 0
    await arrive(opened, a=81)
    await pass_time(engine, "20 seconds")
    assert await fire(opened) == 0
    await pass_time(engine, "10 seconds")
    assert await fire(opened) == 1
    assert any("the hold of pump=a ended after 20s" in one for one in await traces(engine))


async def test_within_one_batch_the_last_word_counts_and_a_no_is_not_overheard(engine: Engine) -> None:
    opened = await door(engine, HOT)
    await arrive(opened, a=81)
    await pass_time(engine, "29 seconds")
    await opened.intake.deliver([letter("plant/a/temp", value) for value in (82, 10, 83)])
    await pass_time(engine, "29 seconds")
    assert await fire(opened) == 0
    await pass_time(engine, "1 second")
    assert await fire(opened) == 1


async def test_it_fires_again_only_after_the_condition_was_gone(engine: Engine) -> None:
    opened = await door(engine, HOT)
    for expected in (1, 1):
        await arrive(opened, a=81)
        await pass_time(engine, "30 seconds")
        assert await fire(opened) == expected
        await arrive(opened, a=10)
    assert await engine.count("runs_run") == 2


async def test_each_pump_holds_by_itself(engine: Engine) -> None:
    opened = await door(engine, HOT)
    await arrive(opened, a=81, b=82)
    await pass_time(engine, "20 seconds")
    await arrive(opened, a=10, c=83)
    await pass_time(engine, "10 seconds")
    assert await fire(opened) == 1
    assert await payloads(engine) == [82]
    await pass_time(engine, "20 seconds")
    assert await fire(opened) == 1
    assert await payloads(engine) == [82, 83]


async def test_what_cannot_be_judged_neither_begins_nor_ends_a_hold(engine: Engine) -> None:
    opened = await door(engine, HOT)
    await opened.intake.deliver([letter("plant/a/temp", b"?"), letter("plant/b/temp", 81)])
    await opened.intake.deliver([letter("plant/b/temp", b"?")])
    await pass_time(engine, "30 seconds")
    assert await fire(opened) == 1
    assert await payloads(engine) == [81]


async def test_a_hold_outlives_the_process_and_comes_due_while_it_is_down(engine: Engine) -> None:
    await arrive(await door(engine, HOT), a=81)
    await pass_time(engine, "10 minutes")
    assert await fire(await door(engine, HOT)) == 1
    assert await fire(await door(engine, HOT)) == 0


async def test_the_hold_is_in_the_transaction_that_acknowledges_its_event(engine: Engine) -> None:
    opened = await door(engine, HOT)
    loop, seen = asyncio.get_running_loop(), []
    one = letter("plant/a/temp", 81)
    one.on_ack = lambda: seen.append(loop.create_task(engine.count("tasks_hold")))
    await opened.intake.deliver([one])
    assert [await task for task in seen] == [1]


async def test_a_clock_that_jumps_back_neither_holds_for_ever_nor_fires_twice(engine: Engine) -> None:
    opened = await door(engine, HOT)
    await arrive(opened, a=81, b=81)
    await pass_time(engine, "30 seconds")
    await arrive(opened, a=10)
    assert await fire(opened) == 1
    await arrive(opened, a=82)
    await pass_time(engine, "-1 hour")
    assert await fire(opened) == 0
    await pass_time(engine, "30 seconds")
    assert await fire(opened) == 1
    assert await payloads(engine) == [81, 82]


async def test_a_clock_that_jumps_forward_makes_it_due(engine: Engine) -> None:
    """Defined so: the due time is wall time."""
    opened = await door(engine, HOT)
    await arrive(opened, a=81)
    await pass_time(engine, "1 hour")
    assert (await fire(opened), await fire(opened)) == (1, 0)


async def test_two_that_look_at_once_fire_it_once(engine: Engine) -> None:
    opened = await door(engine, HOT)
    await arrive(opened, **{f"p{number}": 81 for number in range(20)})
    await pass_time(engine, "30 seconds")
    fired = await asyncio.gather(*(fire(opened) for _ in range(5)))
    assert (sum(fired), await engine.count("runs_run")) == (20, 20)


async def test_a_burst_fires_once_after_it_is_quiet_with_its_last_event(engine: Engine) -> None:
    opened = await door(engine, BURST)
    for value in (1, 2, 3):
        await arrive(opened, a=value, b=-value)
        await pass_time(engine, "4 seconds")
        assert await fire(opened) == 0
    await pass_time(engine, "1 second")
    assert await fire(opened) == 2
    assert sorted(await payloads(engine)) == [-3, 3]
    (run, _) = await engine.sql("SELECT inputs, reason FROM runs_run")
    assert run["inputs"]["event"]["events"] == 3
    assert run["reason"].endswith("quiet for 5s after 3 event(s)")
    await arrive(opened, a=4)
    await pass_time(engine, "5 seconds")
    assert await fire(opened) == 1


async def test_it_is_seen_that_a_trigger_is_holding(engine: Engine) -> None:
    opened = await door(engine, HOT)
    await arrive(opened, a=81)
    await arrive(opened, a=82)
    (reason,) = await traces(engine)
    assert reason.startswith("holding pump=a since ")
    (row,) = await engine.sql("SELECT refused, failed FROM tasks_tasktrigger")
    assert row == {"refused": 0, "failed": 0}


async def test_the_holds_of_a_trigger_are_bounded_and_say_so(engine: Engine, monkeypatch: Any) -> None:
    monkeypatch.setattr(holds, "MOST_HOLDS", 3)
    opened = await door(engine, HOT)
    await arrive(opened, a=81, b=81)
    await arrive(opened, c=81, d=81, e=81, a=82)
    assert await engine.count("tasks_hold") == 3
    assert "3 holds of this trigger are open already" in await traces(engine)
    (row,) = await engine.sql("SELECT failed FROM tasks_tasktrigger")
    assert row["failed"] == 2


async def test_a_changed_trigger_begins_anew_and_a_changed_action_does_not(engine: Engine) -> None:
    await arrive(await door(engine, HOT), a=81)
    await engine.load(HOT.replace('"{{ payload }}"', "1"))
    assert await engine.count("tasks_hold") == 1
    await engine.load(HOT.replace("30s", "40s"))
    assert await engine.count("tasks_hold") == 0


async def test_a_task_that_is_switched_off_holds_nothing(engine: Engine) -> None:
    opened = await door(engine, HOT)
    await arrive(opened, a=81)
    await sync_to_async(set_enabled)("t", False, BOX, engine.clock.now())
    await pass_time(engine, "1 hour")
    assert await fire(opened) == 0


async def test_topics_that_fell_silent_are_forgotten_and_others_are_not(engine: Engine) -> None:
    opened = await door(engine, HOT)
    await arrive(opened, a=81)
    await pass_time(engine, "30 seconds")
    await fire(opened)
    await arrive(opened, b=81)
    await engine.sql("UPDATE tasks_hold SET touched_at = touched_at - interval '8 days'")
    await holds.forget(engine.pool)
    assert [row["key"] for row in await engine.sql("SELECT key FROM tasks_hold")] == ["pump=b"]
