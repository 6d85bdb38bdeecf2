"""``kill -9`` around a person's decision: asked once, decided once, done once."""

import subprocess
import sys

import pytest

from appliance.lib.config import ROOT
from tests.acceptance.box import House
from tests.acceptance.crashes.checks import check_counts, check_effects, committed, wait_until_settled
from tests.acceptance.crashes.conftest import Plan
from tests.acceptance.crashes.tasks import Notebook
from tests.acceptance.crashes.test_matrix import CRASH_SECONDS, SETTLE_SECONDS
from tests.wait import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("evidence")]
OPEN = "SELECT code FROM safety_approval WHERE state = 'open' AND task = 'm_ask'"


def manage(house: House, *words: str, given: str = "") -> int:
    command = [sys.executable, str(ROOT / "manage.py"), *words]
    return subprocess.run(
        command, env=house.box.environment, input=given, capture_output=True, text=True, timeout=60
    ).returncode


@pytest.mark.parametrize("point", ["worker.after_asking", "approval.after_decision"])
def test_a_crash_asks_once_and_acts_once(house: House, plan: Plan, notebook: Notebook, point: str) -> None:
    seq = 900_000 if point.startswith("worker") else 900_001
    manage(
        house, "users", "add", "opal", "--role", "operator", "--password-file", "-", given="a-long-secret-42"
    )
    with house.device() as device:
        with plan.death_at(point, 1) as marker:
            device.send(seq, "m/ask")
            wait_for(lambda: len(house.sql(OPEN)) == 1, CRASH_SECONDS, "somebody is asked")
            (row,) = house.sql(OPEN)
            if point.startswith("approval"):
                assert manage(house, "approvals", "approve", row["code"]) == -9
            wait_for(marker.exists, CRASH_SECONDS, f"the process dies at {point}")
        before = committed(house, notebook, "m_ask")
        if point.startswith("worker"):
            waiting = "SELECT 1 FROM runs_run WHERE state = 'waiting' AND waiting_for = 'approval'"
            wait_for(lambda: house.sql(waiting), SETTLE_SECONDS, "the run waits again")
            assert [one["code"] for one in house.sql(OPEN)] == [row["code"]]
            assert manage(house, "approvals", "approve", row["code"]) == 0
        wait_until_settled(house, "m_ask", {seq}, SETTLE_SECONDS)
        doubtful = set(device.doubtful)
    check_counts(house, "m_ask", {seq}, doubtful)
    check_effects(house, notebook, "m_ask", before)
