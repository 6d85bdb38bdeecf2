"""An amber run on the list, on its page and in the API, in both languages."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

from django.db import connection
from django.test import Client

from appliance.accounts.domain import Role
from appliance.accounts.principal import BOX
from appliance.runs.models import Run
from appliance.sandbox.models import Finding
from appliance.tasks.models import Task
from appliance.tasks.services import hold

DID = "reached for 192.0.2.1:80 (tcp): denied"
OBSERVED = {
    "executed": [{"path": "/usr/bin/curl", "count": 2}],
    "contacts": [
        {"address": "192.0.2.1", "port": 80, "protocol": "tcp", "by": "connect", "denied": True, "count": 1}
    ],
    "refusals": [{"what": "raw socket", "count": 1}],
    "ended": 2, "more": 3, "lost": 4,
}  # fmt: skip


def watched(run_id: UUID, observed: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE runs_step SET detail = %s WHERE run_id = %s", [json.dumps({"observed": observed}), run_id]
        )


def found(run_id: UUID) -> None:
    run = Run.objects.get(pk=run_id)
    Finding.objects.create(
        run_id=run_id, task_id=run.task_id, version_id=run.version_id, step="s", attempt=1, words=[DID],
        at=datetime.now(UTC),
    )  # fmt: skip


def text(client: Client, address: str) -> str:
    return " ".join(client.get(address).content.decode().split())


def test_an_amber_run_is_marked_and_says_what_it_did_and_what_to_do(
    browser: Callable[[Role], Client], ended_run: Callable[..., UUID]
) -> None:
    client, run_id = browser(Role.VIEWER), ended_run(steps=1)
    assert "amber" not in text(client, "/runs/")
    found(run_id)
    assert '<span class="badge wait">amber</span>' in text(client, "/runs/")
    page = text(client, f"/runs/{run_id}/")
    assert DID in page
    assert "/docs/how-to/what-commands-reach.md" in page
    assert client.get("/docs/how-to/what-commands-reach.md").status_code == 200
    client.post("/language/", {"language": "zh-hans", "next": "/"})
    assert "本次运行做了（或试图做）任务未声明的事。" in text(client, f"/runs/{run_id}/")


def test_the_record_of_a_step_is_shown_in_words(
    browser: Callable[[Role], Client], ended_run: Callable[..., UUID]
) -> None:
    client, run_id = browser(Role.VIEWER), ended_run(steps=1)
    watched(run_id, OBSERVED)
    page = text(client, f"/runs/{run_id}/")
    for expected in (
        "<code>/usr/bin/curl</code> ×2",
        "<code>192.0.2.1 80</code>",
        "denied",
        "raw socket",
        "<dd> 7 </dd>",
    ):
        assert expected in page
    watched(run_id, {"reason": "guard does not run as root"})
    assert "Not watched: guard does not run as root." in text(client, f"/runs/{run_id}/")


def test_the_api_tells_the_same(browser: Callable[[Role], Client], ended_run: Callable[..., UUID]) -> None:
    client, run_id = browser(Role.VIEWER), ended_run(steps=1)
    watched(run_id, OBSERVED)
    assert client.get(f"/api/v1/runs/{run_id}").json()["findings"] == []
    found(run_id)
    one = client.get(f"/api/v1/runs/{run_id}").json()
    assert (one["amber"], [f["words"] for f in one["findings"]]) == (True, [[DID]])
    assert [row["amber"] for row in client.get("/api/v1/runs").json()["items"]] == [True]
    (step,) = client.get(f"/api/v1/runs/{run_id}/steps").json()
    assert step["detail"]["observed"] == OBSERVED


def test_a_task_that_is_held_says_why_and_what_to_do_until_somebody_releases_it(
    browser: Callable[[Role], Client], ended_run: Callable[..., UUID]
) -> None:
    engineer, run_id = browser(Role.ENGINEER), ended_run(steps=1)
    found(run_id)
    name = Task.objects.get(pk=Run.objects.get(pk=run_id).task_id).name
    assert "held" not in text(engineer, "/tasks/")
    assert 'id="held"' not in text(engineer, f"/tasks/{name}/")
    hold(name, BOX, datetime.now(UTC))
    listed = text(engineer, "/tasks/")
    assert '<span class="badge bad">held</span>' in listed
    assert "did what it does not declare" in listed
    assert f'action="/tasks/{name}/switch/"' not in listed
    page = text(engineer, f"/tasks/{name}/")
    assert "The box holds this task: nobody and nothing starts it" in page
    assert DID in page
    assert "Run now" not in page
    assert f'href="/runs/{run_id}/"' in page
    Finding.objects.all().delete()
    assert "stands on the audit record, under task.held" in text(engineer, f"/tasks/{name}/")
    engineer.post(f"/tasks/{name}/switch/", {"enabled": "yes"})
    assert 'id="held"' not in text(engineer, f"/tasks/{name}/")
