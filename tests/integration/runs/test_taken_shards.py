"""A split step of a run that ended is gone on with: shards that succeeded are taken over, never done again (P5, P6)."""

from collections import Counter
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async

from appliance.accounts.principal import BOX
from appliance.lib.jsontypes import JsonObject
from appliance.runs import services
from appliance.runs.ended import Resume
from appliance.runs.fork import ForkRefused, WouldRepeat
from appliance.runs.shards.keeper import ShardKeeper
from appliance.runs.shards.reading import progress_of
from appliance.runs.taking_back import undo
from appliance.sandbox.ports import Job, Outcome
from tests.integration.runs.conftest import Engine, outcome
from tests.integration.runs.test_resume import resume
from tests.integration.runs.test_shard_crashes import really
from tests.integration.runs.test_shards import output, whole

EACH = """
- name: t
  trigger: manual
  vars: {{mark: one}}
  actions:
    - {{id: before, type: mqtt, topic: "a/before"}}
    - id: each
      type: foreach
      {source}
      parallelism: {width}
      join: {join}
      actions:
        - {{id: say, type: mqtt, topic: "each/{{{{ item }}}}"}}
        - {{id: act, type: shell, args: ["/bin/act", "{{{{ item }}}}", "{{{{ vars.mark }}}}"], effect: {effect}}}
        - {{id: give, type: set, value: "{{{{ item }}}}!"}}
    - {{id: after, type: set, value: "{{{{ outputs.each }}}}"}}
"""
LIST = "items: [a, b, c, d, e, f]"


def each(source: str = LIST, *, width: int = 2, join: str = "all", effect: str = "idempotent") -> str:
    return EACH.format(source=source, width=width, join=join, effect=effect)


def refusing(engine: Engine, *items: str) -> None:
    """Commands for these items fail, all others succeed."""

    async def work(job: Job) -> Outcome:
        return outcome(1 if job.argv[1] in items else 0)

    engine.world.working = work


async def ended(engine: Engine, text: str, *bad: str, inputs: JsonObject | None = None) -> UUID:
    refusing(engine, *bad)
    run_id = await engine.begin(text, inputs)
    assert (await whole(engine, run_id))["state"] == "failed"
    return run_id


def did(engine: Engine) -> Counter[str]:
    return Counter(job[1] for job in engine.world.jobs)


def said(engine: Engine) -> Counter[str]:
    return Counter(topic for topic, _ in engine.world.published)


async def split_of(engine: Engine, run_id: UUID) -> dict[str, Any]:
    (row,) = await engine.sql("SELECT * FROM runs_split WHERE run_id = %s", run_id)
    return row


async def goes_on(engine: Engine, old: UUID, wanted: Resume | None = None) -> UUID:
    """What failed works now; the resumed run, ended well."""
    refusing(engine)
    new = await resume(engine, old, wanted)
    row = await whole(engine, new)
    assert row["state"] == "succeeded", row["reason"]
    return new


async def test_shards_that_succeeded_are_taken_over_and_only_the_others_are_done(engine: Engine) -> None:
    old = await ended(engine, each(), "b", "e")
    new = await goes_on(engine, old)
    assert did(engine) == Counter("abcdef") + Counter("be")
    assert said(engine) == Counter(["a/before", *(f"each/{item}" for item in "abcdef")])  # also b and e: once
    assert await output(engine, new, "after") == ["a!", "b!", "c!", "d!", "e!", "f!"]
    split = await split_of(engine, new)
    assert (split["taken_from"], split["taken"], split["succeeded"], split["ahead"]) == (old, 4, 6, 0)
    (step,) = await engine.sql("SELECT detail FROM runs_step WHERE run_id = %s AND step = 'each'", new)
    assert step["detail"]["taken_over"] == 4


@pytest.mark.slow
async def test_the_old_run_and_its_shards_stay_as_they_were(engine: Engine) -> None:
    old = await ended(engine, each(), "b")
    query = "SELECT to_jsonb(r) AS was FROM runs_run r WHERE id = %s OR parent_run_id = %s ORDER BY id"
    before = await engine.sql(query, old, old)
    await goes_on(engine, old)
    assert await engine.sql(query, old, old) == before


async def test_no_more_than_so_many_are_under_way_however_many_were_taken(engine: Engine) -> None:
    old = await ended(engine, each("items: [a, b, c, d, e, f, g, h]", width=2), "b", "d", "e", "f", "h")
    going, most = 0, 0

    async def count(job: Job) -> Outcome:
        nonlocal going, most
        going += 1
        most = max(most, going)
        shards = await engine.sql(
            "SELECT id FROM runs_run WHERE state IN ('queued', 'running') AND shard >= 0"
        )
        most = max(most, len(shards))
        going -= 1
        return outcome()

    new = await resume(engine, old)
    engine.world.working = count
    assert (await whole(engine, new))["state"] == "succeeded"
    assert most == 2
    assert did(engine) == Counter("abcdefgh") + Counter("bdefh")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("join", "bad", "again"),
    [("{at_least: 5}", "bcd", "bcdef"), ("{tolerate: 1}", "bc", "bcdef"), ("any", "abcdef", "abcdef")],
)
async def test_the_join_counts_what_was_taken(engine: Engine, join: str, bad: str, again: str) -> None:
    old = await ended(engine, each(width=1, join=join), *bad)
    done = did(engine)
    new = await goes_on(engine, old)
    split = await split_of(engine, new)
    assert (split["outcome"], split["succeeded"] + split["cancelled"]) == ("succeeded", 6)
    assert not (did(engine) - done).keys() - set(again)


async def test_what_is_left_of_a_decided_split_is_cancelled_and_what_was_taken_is_not(engine: Engine) -> None:
    old = await ended(engine, each(width=6), "a", "d")
    refusing(engine, "a")
    new = await resume(engine, old)
    await engine.sql("UPDATE runs_split SET join_policy = 'tolerate', join_number = 0, parallelism = 1")
    row = await whole(engine, new)
    split = await split_of(engine, new)
    assert (row["state"], split["succeeded"], split["failed"], split["cancelled"]) == ("failed", 4, 1, 1)
    assert split["ahead"] == 0


async def test_the_lines_are_those_that_the_old_run_split(engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "hosts"
    file.write_text("a\nb\nc\n")
    bad = {"b"}

    async def work(job: Job) -> Outcome:
        return outcome(int(job.argv[1] in bad)) if job.argv[0] == "/bin/act" else await really(job)

    engine.world.working = work
    old = await engine.begin(each(f"lines: {file}"))
    assert (await whole(engine, old))["state"] == "failed"
    file.write_text("x\ny\n")
    bad.clear()
    new = await resume(engine, old)
    assert (await whole(engine, new))["state"] == "succeeded"
    assert await output(engine, new, "after") == ["a!", "b!", "c!"]
    assert said(engine).keys() == {"a/before", "each/a", "each/b", "each/c"}


async def test_other_vars_are_seen_by_the_shards_that_are_done_now(engine: Engine) -> None:
    old = await ended(engine, each(), "c")
    await goes_on(engine, old, Resume(vars={"mark": "two"}))
    assert engine.world.jobs[-1] == ("/bin/act", "c", "two")


@pytest.mark.slow
async def test_the_branches_of_parallel_are_taken_over_by_name(engine: Engine) -> None:
    old = await ended(
        engine,
        """
- name: t
  trigger: manual
  actions:
    - id: both
      type: parallel
      branches:
        left: [{type: shell, args: [/bin/act, l], effect: idempotent}, {type: set, value: L}]
        right: [{type: shell, args: [/bin/act, r], effect: idempotent}, {type: set, value: R}]
""",
        "r",
    )
    new = await goes_on(engine, old)
    assert did(engine) == Counter("lrr")
    assert await output(engine, new, "both") == {"left": "L", "right": "R"}


async def test_a_split_inside_of_a_shard_takes_over_its_shards_too(engine: Engine) -> None:
    old = await ended(
        engine,
        """
- name: t
  trigger: manual
  actions:
    - id: outer
      type: foreach
      items: [x, y]
      actions:
        - {id: first, type: mqtt, topic: "first/{{ item }}"}
        - {id: name, type: set, value: "{{ item }}"}
        - id: inner
          type: foreach
          items: [1, 2, 3]
          actions: [{type: shell, args: [/bin/act, "{{ outputs.name }}{{ item }}"], effect: idempotent}]
""",
        "y2",
    )
    new = await goes_on(engine, old)
    assert did(engine) == Counter(["x1", "x2", "x3", "y1", "y2", "y3", "y2"])
    assert said(engine) == Counter(["first/x", "first/y"])
    assert [one.split.taken for one in await sync_to_async(progress_of)(new)] == [1]


# --- what must not be repeated silently


async def cut_off(engine: Engine, effect: str) -> UUID:
    """A run that was cancelled while one of its shards was in the middle of acting on ``b``."""

    async def work(job: Job) -> Outcome:
        return outcome(None, signal=9, cancelled=True) if job.argv[1] == "b" else outcome()

    engine.world.working = work
    run_id = await engine.begin(each(width=6, effect=effect))
    keeper = ShardKeeper(engine.pool)
    await engine.perform(run_id)
    await keeper.look()
    await sync_to_async(services.cancel)(run_id, BOX)
    while (await split_of(engine, run_id))["closed_at"] is None:
        await keeper.look()
    return run_id


async def test_an_unsafe_step_that_may_have_acted_is_asked_about_and_only_that_one(engine: Engine) -> None:
    old = await cut_off(engine, "unsafe")
    with pytest.raises(WouldRepeat, match=r"may have been done: act \("):
        await resume(engine, old)
    await goes_on(engine, old, Resume(repeat_unsafe=True))
    assert did(engine) == Counter("abcdef") + Counter("b")


async def test_unsafe_steps_of_shards_that_are_done_are_no_reason_to_ask(engine: Engine) -> None:
    end = "type: shell, args: [/bin/end, '{{ item }}'], effect: idempotent}"
    text = each(effect="unsafe").replace('type: set, value: "{{ item }}!"}', end)

    async def work(job: Job) -> Outcome:
        return outcome(1 if job.argv == ("/bin/end", "c") else 0)

    engine.world.working = work
    old = await engine.begin(text)
    assert (await whole(engine, old))["state"] == "failed"
    engine.world.jobs.clear()
    new = await resume(engine, old)
    engine.world.working = None
    assert (await whole(engine, new))["state"] == "succeeded"
    assert [job for job in engine.world.jobs if job[1] in set("abcdef")] == [("/bin/end", "c")]


async def test_shards_that_are_still_being_ended_are_waited_for(engine: Engine) -> None:
    old = await ended(engine, each(), "c")
    await engine.sql("UPDATE runs_split SET closed_at = NULL WHERE run_id = %s", old)
    with pytest.raises(ForkRefused, match="still being ended"):
        await resume(engine, old)
    assert await engine.count("runs_run WHERE split_id IS NULL") == 1


async def test_shards_that_are_gone_are_not_done_again(engine: Engine) -> None:
    """The old run's day was dropped after a person asked, and before the new run began."""
    old = await ended(engine, each(), "c")
    jobs = len(engine.world.jobs)
    new = await resume(engine, old)
    await engine.sql("DELETE FROM runs_run WHERE parent_run_id = %s", old)
    row = await whole(engine, new)
    assert (row["state"], "are gone" in row["reason"]) == ("failed", True)
    assert len(engine.world.jobs) == jobs
    await engine.sql("DELETE FROM runs_split WHERE run_id = %s", old)
    with pytest.raises(ForkRefused, match="are gone"):
        await resume(engine, new)
    with pytest.raises(ForkRefused, match="are gone"):
        await resume(engine, new, Resume(step="each", repeat_unsafe=True))


async def test_a_run_that_never_began_to_take_over_hands_its_claim_on(engine: Engine) -> None:
    old = await ended(engine, each(effect="unsafe"), "c")
    between = await resume(engine, old)
    await sync_to_async(services.cancel)(between, BOX)
    await ShardKeeper(engine.pool).look()
    with pytest.raises(WouldRepeat, match="each"):
        await resume(engine, between, Resume(step="before"))
    new = await goes_on(engine, between)
    assert (await split_of(engine, new))["taken_from"] == old
    assert did(engine) == Counter("abcdef") + Counter("c")


@pytest.mark.slow
async def test_what_was_taken_is_taken_again(engine: Engine) -> None:
    old = await ended(engine, each(), "b", "c")
    refusing(engine, "c")
    between = await resume(engine, old)
    assert (await whole(engine, between))["state"] == "failed"
    new = await goes_on(engine, between)
    assert did(engine) == Counter("abcdef") + Counter("bc") + Counter("c")
    assert (await split_of(engine, new))["taken"] == 5


@pytest.mark.slow
async def test_a_step_that_succeeded_and_is_named_is_done_whole(engine: Engine) -> None:
    refusing(engine)
    old = await engine.begin(each())
    assert (await whole(engine, old))["state"] == "succeeded"
    await goes_on(engine, old, Resume(step="each"))
    assert did(engine) == Counter("abcdef" * 2)


@pytest.mark.slow
async def test_shards_that_were_taken_back_are_done_again(engine: Engine) -> None:
    text = each().replace("      join:", "      undo: {type: mqtt, topic: back}\n      join:")
    old = await ended(engine, text, "c")
    await sync_to_async(undo)(old, BOX)
    assert (await whole(engine, old))["state"] == "undone"
    await goes_on(engine, old, Resume(step="each"))
    assert did(engine) == Counter("abcdef" * 2)
