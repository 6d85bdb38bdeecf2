"""What a step leaves behind: outputs, warnings, cached values, errors."""

from appliance.bus.errors import TopicRefused
from tests.integration.runs.conftest import Engine, answering, outcome, task


async def test_outputs_travel_and_text_is_never_rendered_twice(engine: Engine) -> None:
    engine.world.working = answering(outcome(0, b"{{ secret }}\n"))
    run_id = await engine.begin(
        task(
            "    - {id: a, type: shell, args: [/bin/x]}\n"
            "    - {id: b, type: mqtt, topic: a/b, payload: '{{ output }} {{ outputs.a }}'}\n"
        )
    )
    assert (await engine.perform(run_id))["state"] == "succeeded"
    assert engine.world.published == [("a/b", b"{{ secret }} {{ secret }}")]


async def test_what_a_command_wrote_to_standard_error_is_a_visible_warning(engine: Engine) -> None:
    engine.world.working = answering(outcome(0, b"", b"tail: no such file\n"))
    run_id = await engine.begin(task("    - {id: a, type: shell, args: [/bin/x]}\n"))
    row = await engine.perform(run_id)
    assert (row["state"], row["warning"]) == ("succeeded", "a: tail: no such file")


async def test_binary_output_is_kept_shown_and_cached_without_poisoning_the_run(engine: Engine) -> None:
    junk = bytes(range(256))
    engine.world.working = answering(outcome(0, junk, junk))
    run_id = await engine.begin(task("    - {id: a, type: shell, args: [/bin/x], cache_key: junk}\n"))
    row = await engine.perform(run_id)
    assert row["state"] == "succeeded"
    assert row["warning"].startswith("a: ")
    (kept,) = await engine.sql("SELECT value FROM cache_cacheentry WHERE key = 'junk'")
    assert "\ufffd" in kept["value"]


async def test_a_binary_failure_is_a_failure(engine: Engine) -> None:
    async def publishing(topic: str, payload: bytes) -> None:
        raise TopicRefused("no \x00 here")

    engine.world.publishing = publishing
    run_id = await engine.begin(task("    - {id: a, type: mqtt, topic: a/b}\n"))
    assert (await engine.perform(run_id))["state"] == "failed"


async def test_previous_is_the_value_of_the_run_before(engine: Engine) -> None:
    await engine.load(
        task(
            "    - {id: a, type: set, cache_key: n, value: '{{ (previous or 0) + 1 }}'}\n"
            "    - {id: b, type: mqtt, topic: a/b, payload: '{{ cache.n }}'}\n"
        )
    )
    for _ in range(3):
        assert (await engine.perform(await engine.start("t")))["state"] == "succeeded"
    assert [payload for _, payload in engine.world.published] == [b"1", b"2", b"3"]
    (entry,) = await engine.sql("SELECT value, version FROM cache_cacheentry WHERE key = 'n'")
    assert entry == {"value": 3, "version": 3}


async def test_a_failed_step_does_not_change_its_cached_value(engine: Engine) -> None:
    engine.world.working = answering(outcome(0, b"good"), outcome(1, b"bad"))
    await engine.load(task("    - {id: a, type: shell, args: [/bin/x], cache_key: k}\n"))
    for _ in range(2):
        await engine.perform(await engine.start("t"))
    (entry,) = await engine.sql("SELECT value FROM cache_cacheentry")
    assert entry["value"] == "good"


async def test_a_missing_name_fails_the_step_and_says_which(engine: Engine) -> None:
    run_id = await engine.begin(
        task("    - {id: a, type: set, value: {}}\n    - {id: b, type: mqtt, topic: 'x/{{ output.nope }}'}\n")
    )
    row = await engine.perform(run_id)
    assert row["state"] == "failed"
    assert "nope" in row["reason"]
    assert engine.world.published == []


async def test_on_failure_knows_the_error_and_the_run_stays_failed(engine: Engine) -> None:
    engine.world.working = answering(outcome(7))
    run_id = await engine.begin(
        task("    - {id: a, type: shell, args: [/bin/x]}\n    - {id: b, type: mqtt, topic: a/b}\n")
        + "  on_failure:\n    - {id: f, type: mqtt, topic: a/f, payload: '{{ error }}'}\n"
    )
    assert (await engine.perform(run_id))["state"] == "failed"
    assert engine.world.published == [("a/f", b"step a: exit status 7, expected 0")]
