"""Steps in a container: which image a name means, and what is said of one that cannot run."""

from datetime import UTC, datetime

import pytest
from asgiref.sync import sync_to_async

from appliance.accounts.principal import CONSOLE
from appliance.audit.models import AuditRecord
from appliance.sandbox.errors import ImageRefused, JobLost
from appliance.sandbox.images import pin, pins, unpin
from appliance.sandbox.ports import Job, Outcome
from tests.integration.runs.conftest import Engine

DIGEST = f"sha256:{'d' * 64}"
OTHER = f"sha256:{'e' * 64}"
TASK = """
name: t
principal: {role}
actions:
  - {{id: act, type: container, image: "{image}", args: [work, "{{{{ vars.word }}}}"]{more}}}
vars: {{word: "a; b"}}
"""


def task(image: str = "tools", role: str = "engineer", more: str = "") -> str:
    return TASK.format(image=image, role=role, more=more)


def pin_now(name: str, digest: str) -> None:
    pin(name, digest, CONSOLE, datetime.now(UTC))


async def test_a_name_means_what_was_pinned_last_and_the_run_and_step_are_told(engine: Engine) -> None:
    for digest in (OTHER, DIGEST):
        await sync_to_async(pin_now)("tools", digest)
    run_id = await engine.begin(task())
    assert (await engine.perform(run_id))["state"] == "succeeded"
    (where,) = engine.world.places
    assert (where.image, where.template, where.run, where.step) == (DIGEST, "strict", str(run_id), "act")
    assert engine.world.jobs == [("work", "a; b")]


async def test_a_digest_needs_no_pin(engine: Engine) -> None:
    assert (await engine.perform(await engine.begin(task(DIGEST))))["state"] == "succeeded"
    assert engine.world.places[0].image == DIGEST


async def test_a_name_that_is_not_pinned_fails_and_says_how_to_pin_it(engine: Engine) -> None:
    run_id = await engine.begin(task())
    assert (await engine.perform(run_id))["state"] == "failed"
    (step,) = await engine.sql("SELECT error FROM runs_step WHERE run_id = %s", run_id)
    assert "manage.py images pin tools sha256:" in step["error"]
    assert engine.world.jobs == []


SHELL = """
name: t
principal: operator
actions: [{id: act, type: shell, sandbox: docker, args: [work, here]}]
"""


async def test_a_shell_step_runs_in_the_image_that_is_pinned_for_them(engine: Engine) -> None:
    """Also an operator's: it reaches less there than by the process sandbox."""
    await sync_to_async(pin_now)("shell", DIGEST)
    run_id = await engine.begin(SHELL)
    assert (await engine.perform(run_id))["state"] == "succeeded"
    (where,) = engine.world.places
    assert (where.image, where.template, where.run, where.step) == (DIGEST, "strict", str(run_id), "act")
    assert engine.world.jobs == [("work", "here")]
    await sync_to_async(unpin)("shell", CONSOLE)


async def test_a_shell_step_without_such_an_image_fails_and_never_runs_with_less(engine: Engine) -> None:
    run_id = await engine.begin(SHELL)
    assert (await engine.perform(run_id))["state"] == "failed"
    (step,) = await engine.sql("SELECT error FROM runs_step WHERE run_id = %s", run_id)
    assert "manage.py images pin shell sha256:" in step["error"]
    assert engine.world.jobs == []


@pytest.mark.django_db(transaction=True)
def test_the_record_names_who_pinned_an_image() -> None:
    pin_now("seen", DIGEST)
    pinned = next(pin for pin in pins() if pin.name == "seen")
    unpin("seen", CONSOLE)
    said = AuditRecord.objects.filter(subject="image/seen").values_list("kind", "principal")
    assert pinned.pinned_by == "console"
    assert sorted(said) == [("image.pinned", "console"), ("image.unpinned", "console")]


async def test_an_operators_task_may_not(engine: Engine) -> None:
    await sync_to_async(pin_now)("tools", DIGEST)
    run_id = await engine.begin(task(role="operator"))
    assert (await engine.perform(run_id))["state"] != "succeeded"
    assert engine.world.jobs == []


async def test_one_that_is_lost_with_its_guard_is_ambiguous(engine: Engine) -> None:
    async def lost(job: Job) -> Outcome:
        raise JobLost("guard went away")

    engine.world.working = lost
    run_id = await engine.begin(task(DIGEST, more=", retry: 3"))
    await engine.perform(run_id)
    assert await engine.state(run_id) == "waiting:ambiguous"


async def test_pins_are_on_record_and_nonsense_is_refused(engine: Engine) -> None:
    for name, digest in (
        ("Tools", DIGEST),
        (DIGEST, DIGEST),
        ("tools", "debian:12"),
        ("tools", f"{DIGEST}0"),
        ("", DIGEST),
    ):
        with pytest.raises(ImageRefused):
            await sync_to_async(pin_now)(name, digest)
    await sync_to_async(pin_now)("recorded", DIGEST)
    await sync_to_async(unpin)("recorded", CONSOLE)
    with pytest.raises(ImageRefused):
        await sync_to_async(unpin)("recorded", CONSOLE)
    assert "recorded" not in [row.name for row in await sync_to_async(pins)()]
    rows = await engine.sql(
        "SELECT kind, subject FROM audit_record WHERE subject = 'image/recorded' ORDER BY 1"
    )
    assert [row["kind"] for row in rows] == ["image.pinned", "image.unpinned"]
