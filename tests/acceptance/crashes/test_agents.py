"""``kill -9`` at every named place that an agent passes: no turn on record is asked again, no effect happens twice."""

import random
from collections.abc import Iterator
from itertools import count

import httpx
import pytest

from appliance.lib.config import read_config
from appliance.processes.bench.box import Box
from appliance.processes.bench.player import Part
from appliance.processes.bench.stage import Stage, end
from tests.acceptance.box import House
from tests.acceptance.crashes.agents import Agents, before, check
from tests.acceptance.crashes.conftest import Plan
from tests.acceptance.crashes.tasks import Notebook
from tests.acceptance.crashes.test_approvals import manage
from tests.acceptance.crashes.test_matrix import (
    BEFORE_ACK,
    CRASH_SECONDS,
    INTAKE,
    OUTBOX,
    SETTLE_SECONDS,
    WORKER,
)
from tests.wait import wait_for

CASES = 4
KEEPER = ("keeper.before_grant", "keeper.after_grant")
ASKED = ("worker.after_asking", "approval.after_decision")
_OPEN = "SELECT id::text, code FROM safety_approval WHERE state = 'open' AND task = 'a_ask'"
numbers = count(500_000, 1_000)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("evidence")]


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Stage() as playing:
        yield playing


@pytest.fixture(scope="module")
def box(box: Box, stage: Stage) -> Box:
    """Not started yet."""
    box.environment |= stage.settings
    box.config = read_config(box.environment)
    return box


@pytest.fixture(scope="module")
def agents(house: House, stage: Stage, notebook: Notebook) -> Agents:
    stage.serve(house.box)
    made = Agents(house, stage, notebook.folder)
    made.load()
    manage(
        house, "users", "add", "opal", "--role", "engineer", "--password-file", "-", given="a-long-secret-42"
    )
    return made


@pytest.fixture(scope="module")
def approver(agents: Agents) -> Iterator[httpx.Client]:
    """The web process takes what opal says."""
    said = agents.house.box.manage("users", "token", "opal", "crash", "--scope", "approve")
    token = next(word for word in said.split() if word.startswith("mw_"))
    with httpx.Client(
        base_url=agents.house.address,
        headers={"Authorization": f"Bearer {token}"},
        trust_env=False,
        timeout=10,
    ) as client:
        yield client


def death_number(request: pytest.FixtureRequest, point: str, most: int) -> int:
    return random.Random(f"{request.config.getoption('--sample-seed')}/agent/{point}").randint(1, most)


@pytest.mark.parametrize("point", [*WORKER, *KEEPER, *OUTBOX, *INTAKE])
def test_a_crash_under_agents_asks_nothing_again_and_does_nothing_twice(
    agents: Agents, plan: Plan, request: pytest.FixtureRequest, point: str
) -> None:
    first = next(numbers)
    wanted = set(range(first, first + CASES))
    most = CASES if point in (*OUTBOX, *INTAKE) else CASES * 4
    with agents.house.device() as device, plan.death_at(point, death_number(request, point, most)) as marker:
        for seq in sorted(wanted):
            agents.play("a_act", seq)
            device.send(seq, "a/act")
        wait_for(marker.exists, CRASH_SECONDS, f"the process dies at {point}")
        then = before(agents, "a_act", wanted)
        wait_for(lambda: wanted <= device.acknowledged.keys(), 60, "the broker takes the events")
        agents.wait_until_settled("a_act", wanted, SETTLE_SECONDS)
    check(agents, "a_act", wanted, then, twice=point in BEFORE_ACK)


@pytest.mark.parametrize("point", ASKED)
def test_a_crash_around_a_plan_asks_once_and_acts_once(
    agents: Agents, plan: Plan, approver: httpx.Client, point: str
) -> None:
    seq = next(numbers)
    agents.play("a_ask", seq)
    with agents.house.device() as device:
        with plan.death_at(point, 1) as marker:
            device.send(seq, "a/ask")
            (asked,) = wait_for(lambda: agents.house.sql(_OPEN), CRASH_SECONDS, "somebody is asked")
            if point.startswith("approval"):
                with pytest.raises(httpx.HTTPError):
                    decide(approver, asked["id"])
            wait_for(marker.exists, CRASH_SECONDS, f"the process dies at {point}")
        then = before(agents, "a_ask", {seq})
        if point.startswith("worker"):
            waiting = "SELECT 1 FROM runs_run WHERE state = 'waiting' AND waiting_for = 'approval'"
            wait_for(lambda: agents.house.sql(waiting), SETTLE_SECONDS, "the run waits again")
            assert [one["code"] for one in agents.house.sql(_OPEN)] == [asked["code"]]
            assert decide(approver, asked["id"]).is_success
        agents.wait_until_settled("a_ask", {seq}, SETTLE_SECONDS)
        agents.house.wait_ready()
    check(agents, "a_ask", {seq}, then)
    assert (
        len(agents.house.sql("SELECT 1 FROM safety_approval WHERE task = 'a_ask' AND id = %s", asked["id"]))
        == 1
    )


def decide(approver: httpx.Client, approval: str) -> httpx.Response:
    return approver.post(f"/api/v1/approvals/{approval}/decide", json={"decision": "approve"})


def test_a_crash_of_the_recovery_leaves_no_agent_behind(agents: Agents, plan: Plan) -> None:
    first = next(numbers)
    wanted = set(range(first, first + CASES))
    with agents.house.device() as device:
        with plan.death_at("worker.after_effect", 3) as dead:
            for seq in sorted(wanted):
                agents.play("a_act", seq)
                device.send(seq, "a/act")
            wait_for(dead.exists, CRASH_SECONDS, "the worker dies")
        with plan.death_at("reconciler.before_commit", 1) as marker:
            then = before(agents, "a_act", wanted)
            wait_for(marker.exists, CRASH_SECONDS, "the recovery dies")
        agents.wait_until_settled("a_act", wanted, SETTLE_SECONDS)
    check(agents, "a_act", wanted, then)


@pytest.mark.parametrize("stop", ["all_stop", "cancel"])
def test_a_stop_hangs_up_on_the_model_and_what_was_under_way_goes_on_or_ends(
    agents: Agents, stage: Stage, stop: str
) -> None:
    seq = next(numbers)
    word = f"Case {seq}."
    stage.play(Part(word, [end("word " * 4000)], pieces=4000, pace=0.05))
    house = agents.house
    with house.device() as device:
        device.send(seq, "a/act")
        wait_for(lambda: any(one.pieces > 2 for one in stage.asked(word)), CRASH_SECONDS, "the model talks")
        if stop == "all_stop":
            assert manage(house, "allstop", "engage", "--level", "kill", "--reason", "test") == 0
        else:
            (run,) = [
                row
                for row in house.runs_of("a_act")
                if not row["split_id"] and row["inputs"]["payload"]["seq"] == seq
            ]
            assert manage(house, "runs", "cancel", str(run["id"])) == 0
        (asked,) = wait_for(lambda: [one for one in stage.asked(word) if one.ended], 10, "it is hung up on")
        assert asked.left
        assert asked.pieces < 1000
        stage.play(Part(word, [end("Done.")]))
        if stop == "all_stop":
            waiting = "SELECT 1 FROM runs_run WHERE waiting_for = 'all_stop'"
            wait_for(lambda: house.sql(waiting), SETTLE_SECONDS, "the agent waits")
            manage(
                house,
                "users",
                "add",
                "root",
                "--role",
                "admin",
                "--password-file",
                "-",
                given="a-long-secret-42",
            )
            assert manage(house, "allstop", "release", "--reason", "over", "--as", "root") == 0
        agents.wait_until_settled("a_act", {seq}, SETTLE_SECONDS)
    (row,) = agents.inside("a_act", {seq})
    assert row["whole"] == ("succeeded" if stop == "all_stop" else "cancelled")
    assert len(stage.asked(word)) == (2 if stop == "all_stop" else 1)
