"""Two real boxes over HTTP: cut off, edited on both sides, killed in the middle, and alike at the end."""

import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from appliance.lib.config import read_config
from appliance.processes.bench.box import Box
from tests.acceptance.box import ADMIN_PASSWORD, House
from tests.wait import wait_for

MANY = 120
SHARED = "key ~ '^(newest|ask|merge)/'"
"""The tasks of a fresh box keep values of their own, which are nobody else's."""


def started(**settings: str) -> Box:
    box = Box(None, **settings)
    password = box.home.parent / "admin.password"
    password.write_text(ADMIN_PASSWORD)
    box.environment["MILLWRIGHT_ADMIN_PASSWORD_FILE"] = str(password)
    box.config = read_config(box.environment)
    return box


@pytest.fixture(scope="module")
def houses() -> Iterator[tuple[House, House]]:
    """``near`` calls ``far``."""
    with started() as far_box, started() as near_box:
        near, far = House(near_box), House(far_box)
        said = far.box.manage("users", "token", "admin", "near", "--scope", "sync")
        near.put_secret("far", next(word for word in said.split() if word.startswith("mw_")))
        shares = [f"--share={policy}/={policy}" for policy in ("newest", "ask", "merge")]
        near.box.manage("cache", "peer", "far", far.address, "--token", "secret:far", *shares, "--every", "1")
        yield near, far


def put(house: House, key: str, value: object) -> None:
    house.box.manage("cache", "set", key, json.dumps(value))


def value(house: House, key: str) -> Any:
    rows = house.sql("SELECT value FROM cache_cacheentry WHERE key = %s AND NOT deleted", key)
    return rows[0]["value"] if rows else None


def everything(house: House) -> list[dict[str, Any]]:
    return house.sql(
        f"SELECT key, value, wall, counter, origin FROM cache_cacheentry WHERE {SHARED} ORDER BY key"
    )


def count(house: House) -> int:
    return int(house.sql(f"SELECT count(*) AS n FROM cache_cacheentry WHERE {SHARED}")[0]["n"])


def put_many(house: House, name: str) -> None:
    """As a busy box would: one transaction for each, without a process for each."""
    for number in range(MANY):
        house.sql(
            "INSERT INTO cache_cacheentry (key, value, version, wall, counter, origin, deleted, updated_at,"
            " updated_by, xact, seq) VALUES (%s, %s::jsonb, 1, %s, 0, %s, false, now(), 'test',"
            " pg_current_xact_id()::text::bigint, nextval('cache_journal')) RETURNING 1",
            f"newest/{name}/{number:04}",
            json.dumps({"from": name, "number": number}),
            1_700_000_000_000 + number,
            house.box.config.home.id,
        )


@pytest.mark.slow
def test_edits_on_both_sides_of_a_cut_survive_it_and_the_killing(houses: tuple[House, House]) -> None:
    near, far = houses
    for key in ("newest/mode", "ask/setpoint", "merge/recipe"):
        put(near, key, {"began": 1})
    wait_for(
        lambda: all(
            value(far, key) == {"began": 1} for key in ("newest/mode", "ask/setpoint", "merge/recipe")
        ),
        60,
        "the first values have arrived",
    )

    web = far.box.parts()["web"]
    os.kill(web, signal.SIGSTOP)
    try:
        for house, name in ((near, "near"), (far, "far")):
            put(house, "ask/setpoint", {"set by": name})
            put(house, "merge/recipe", {"began": 1, name: 2})
            put(house, f"newest/only-{name}", name)
            put_many(house, name)
        put(near, "newest/mode", "near")
        put(far, "newest/mode", "far, later")
    finally:
        os.kill(web, signal.SIGCONT)

    wait_for(lambda: value(far, "newest/near/0000") or value(near, "newest/far/0000"), 120, "sync goes on")
    near.kill("reactor")
    far.kill("web")
    wait_for(lambda: all(count(house) == 2 * MANY + 5 for house in houses), 240, "all have arrived")

    def alike() -> bool:
        one, other = ([row for row in everything(h) if row["key"] != "ask/setpoint"] for h in houses)
        return one == other

    wait_for(alike, 120, "both boxes are alike")
    assert value(far, "newest/mode") == "far, later"
    assert value(near, "merge/recipe") == {"began": 1, "near": 2, "far": 2}

    conflicts = json.loads(near.box.manage("cache", "conflicts", "--json"))
    found = {row["key"]: (row["state"], row["mine"], row["theirs"]) for row in conflicts}
    assert found == {
        "newest/mode": ("decided", "near", "far, later"),
        "merge/recipe": ("decided", {"began": 1, "near": 2}, {"began": 1, "far": 2}),
        "ask/setpoint": ("open", {"set by": "near"}, {"set by": "far"}),
    }
    assert value(near, "ask/setpoint") == {"set by": "near"}
    assert value(far, "ask/setpoint") == {"set by": "far"}
    with near.admin() as browser:
        page = browser.get("/values/").text
        assert "ask/setpoint" in page
        number = next(row["conflict"] for row in conflicts if row["state"] == "open")
        decided = browser.post(
            f"/values/conflicts/{number}/",
            data={"take": "mine", "csrfmiddlewaretoken": browser.cookies["csrftoken"]},
            headers={"Referer": near.address},
        )
        assert decided.status_code == 302
    wait_for(lambda: value(far, "ask/setpoint") == {"set by": "near"}, 120, "the decision has arrived")
    wait_for(lambda: everything(near) == everything(far), 30, "both boxes are alike in everything")
    assert near.box.manage("cache", "parked").strip() == "None."
