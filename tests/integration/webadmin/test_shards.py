"""A run's shards on its page, in the API and in the commands; nowhere else."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from appliance.accounts.domain import Ability, Role
from appliance.accounts.models import User
from appliance.accounts.principal import BOX
from appliance.accounts.tokens import issue_api_token
from appliance.runs import services
from appliance.runs.shards.split import shard_id, split_id
from webadmin.pages.paging import PAGE

Browsers = Callable[[Role], Client]
MakeRun = Callable[..., UUID]

_SPLIT = """
INSERT INTO runs_split (id, run_id, step, attempt, join_policy, join_number, parallelism, context, source,
    expanded, total, admitted, succeeded, failed)
VALUES (%s, %s, 'each', 1, 'all', 0, 8, '{}', '{}', %s, %s, %s, %s, %s)
"""
_SHARDS = """
INSERT INTO runs_run (id, task_id, version_id, parent_run_id, split_id, shard, state, waiting_for, reason,
    principal, origin, inputs, created_at, started_at, finished_at, counted)
SELECT s.id, p.task_id, p.version_id, p.id, %(split)s, s.n, s.state, s.waiting_for, '', p.principal, p.origin,
    jsonb_build_object('item', 'press-' || s.n, 'index', s.n, 'shard', jsonb_build_object('step', 'each')),
    p.created_at, now(), now(), true
FROM runs_run p, unnest(%(ids)s::uuid[], %(numbers)s::int[], %(states)s::text[], %(waiting)s::text[])
    AS s(id, n, state, waiting_for)
WHERE p.id = %(run)s
"""


@pytest.fixture
def split_run(ended_run: MakeRun) -> Callable[[int], UUID]:
    """A run whose step ``each`` has so many shards: two failed, one runs, one asks, a tenth waits for its turn."""

    def make(total: int) -> UUID:
        run = ended_run(state="waiting")
        split, held = split_id(run, "each", 1), total // 10
        states = [("succeeded", "")] * (total - held - 4)
        states += (
            [("failed", "")] * 2 + [("running", ""), ("waiting", "ambiguous")] + [("waiting", "turn")] * held
        )
        with connection.cursor() as cursor:
            cursor.execute("UPDATE runs_run SET waiting_for = 'shards' WHERE id = %s", [run])
            cursor.execute(_SPLIT, [split, run, total, total, total - held, total - held - 4, 2])
            values: dict[str, Any] = {
                "split": split,
                "run": run,
                "ids": [shard_id(split, n) for n in range(total)],
                "numbers": list(range(total)),
                "states": [state for state, _ in states],
                "waiting": [waiting for _, waiting in states],
            }
            cursor.execute(_SHARDS, values)
        return run

    return make


def program(user: User) -> Client:
    token = issue_api_token(user, "script", [Ability.VIEW], BOX, datetime.now(UTC))
    return Client(headers={"Authorization": f"Bearer {token}"})


def questions(client: Client, path: str) -> int:
    with CaptureQueriesContext(connection) as asked:
        assert client.get(path).status_code == 200
    return len(asked)


def test_a_page_asks_as_many_questions_for_many_shards_as_for_few(
    browser: Browsers, split_run: Callable[[int], UUID]
) -> None:
    client = browser(Role.VIEWER)
    few, many = split_run(60), split_run(10_000)
    for query in ("", "?shards=succeeded", "?shards=turn&after=9850"):
        assert questions(client, f"/runs/{few}/{query}") == questions(client, f"/runs/{many}/{query}")


def test_the_page_counts_by_state_and_lists_one_page(
    browser: Browsers, split_run: Callable[[int], UUID]
) -> None:
    run, client = split_run(100), browser(Role.VIEWER)
    page = client.get(f"/runs/{run}/").content.decode()
    assert "88 of 100 done" in page
    for text in ("all 100", "succeeded 86", "failed 2", "running 1", "unclear 1", "to come 10"):
        assert text in " ".join(page.split())
    assert "asks what became of it" in page
    assert page.count("press-") == PAGE
    assert "after=50" in page
    second = client.get(f"/runs/{run}/?after=50").content.decode()
    assert (second.count("press-"), "press-99" in second) == (50, True)


@pytest.mark.parametrize(
    ("kind", "found"),
    [("failed", 2), ("running", 1), ("ambiguous", 1), ("turn", 10), ("waiting", 0), ("odd", 50)],
)
def test_the_list_is_narrowed_by_state(
    kind: str, found: int, browser: Browsers, split_run: Callable[[int], UUID]
) -> None:
    page = browser(Role.VIEWER).get(f"/runs/{split_run(100)}/?shards={kind}").content.decode()
    assert page.count("press-") == found


def test_a_shard_has_a_page_that_leads_back_and_cannot_be_run_again_alone(
    browser: Browsers, split_run: Callable[[int], UUID]
) -> None:
    run = split_run(20)
    shard = shard_id(split_id(run, "each", 1), 3)
    page = browser(Role.OPERATOR).get(f"/runs/{shard}/").content.decode()
    assert "shard 3 of each" in " ".join(page.split())
    assert f"/runs/{run}/" in page
    assert "Run again" not in page
    with pytest.raises(services.NotNow, match="is a shard of run"):
        services.start_again(shard, BOX, datetime.now(UTC))


def test_shards_are_not_listed_or_counted_as_runs(
    browser: Browsers, split_run: Callable[[int], UUID], person: Callable[[Role], User]
) -> None:
    run, client = split_run(30), browser(Role.VIEWER)
    shard = shard_id(split_id(run, "each", 1), 3)
    for path in ("/", "/runs/", "/runs/?state=succeeded", "/tasks/greet/"):
        page = client.get(path).content.decode()
        assert str(shard) not in page, path
    assert str(run) in client.get("/runs/").content.decode()
    api = program(person(Role.VIEWER))
    assert [one["id"] for one in api.get("/api/v1/runs").json()["items"]] == [str(run)]
    assert api.get("/api/v1/status").json()["runs"] == {"waiting": 1}
    assert 'millwright_runs{state="running"} 0.0' in client.get("/metrics").content.decode()


def test_the_api_gives_counts_and_pages_of_shards(
    split_run: Callable[[int], UUID], person: Callable[[Role], User]
) -> None:
    run = split_run(100)
    api = program(person(Role.VIEWER))
    answer = api.get(f"/api/v1/runs/{run}/shards", {"limit": 60}).json()
    assert answer["splits"][0]["counts"] == {
        "succeeded": 86,
        "failed": 2,
        "ambiguous": 1,
        "running": 1,
        "turn": 10,
    }
    assert [one["item"] for one in answer["items"]] == [f"press-{n}" for n in range(60)]
    rest = api.get(f"/api/v1/runs/{run}/shards", {"limit": 60, "after": answer["next"]}).json()
    assert ([one["shard"] for one in rest["items"]], rest["next"]) == (list(range(60, 100)), None)
    failed = api.get(f"/api/v1/runs/{run}/shards", {"state": "failed", "step": "each"}).json()
    assert [one["state"] for one in failed["items"]] == ["failed", "failed"]
    assert api.get(f"/api/v1/runs/{run}/shards", {"step": "other"}).json()["items"] == []


def test_the_command_says_how_far_the_shards_are(split_run: Callable[[int], UUID]) -> None:
    run, said = split_run(100), StringIO()
    call_command("runs", "show", str(run), "--json", stdout=said)
    (split,) = json.loads(said.getvalue())["shards"]
    assert (split["step"], split["total"], split["counts"]["succeeded"]) == ("each", 100, 86)


def test_page_api_and_command_say_how_many_shards_were_taken_over_and_from_whom(
    browser: Browsers, split_run: Callable[[int], UUID], person: Callable[[Role], User]
) -> None:
    run, old, said = split_run(100), split_run(10), StringIO()
    with connection.cursor() as cursor:
        values = [old, split_id(run, "each", 1)]
        cursor.execute("UPDATE runs_split SET taken_from = %s, taken = 40, ahead = 3 WHERE id = %s", values)
    page = " ".join(browser(Role.VIEWER).get(f"/runs/{run}/").content.decode().split())
    assert "40 shards taken over from run" in page
    assert f'href="/runs/{old}/"' in page
    assert "to come 7" in page
    (split,) = program(person(Role.VIEWER)).get(f"/api/v1/runs/{run}/shards").json()["splits"]
    assert (split["taken_over"], split["taken_from"]) == (40, str(old))
    call_command("runs", "show", str(run), stdout=said)
    assert f"40 taken over from run {old}" in said.getvalue()
