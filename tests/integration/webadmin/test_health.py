"""``/readyz`` on the real engines: every part by its name, and what is wrong with it."""

import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from appliance.processes.models import PartBeat

NOW = timedelta()


@pytest.fixture
def spawner() -> Iterator[None]:
    """Something listens where the spawner does."""
    door = settings.CONFIG.home.spawner_socket
    door.parent.mkdir(parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(door))
        listening.listen()
        yield
    door.unlink()


def sign(part: str, healthy: bool = True, ago: timedelta = NOW, **detail: Any) -> None:
    PartBeat.objects.create(part=part, at=datetime.now(UTC) - ago, healthy=healthy, detail=detail)


def readyz(status: int) -> dict[str, Any]:
    answer = Client().get("/readyz")
    assert answer.status_code == status, answer.content
    body: dict[str, Any] = answer.json()
    return body


@pytest.mark.usefixtures("spawner")
@pytest.mark.django_db(transaction=True)
def test_a_box_whose_parts_are_all_well_is_ready_and_says_what_it_survives() -> None:
    for part in ("reactor", "worker", "beat", "keeper"):
        sign(part)
    body = readyz(200)
    assert (body["ready"], body["durability"]) == (True, "power-safe")
    assert body["messages_set_aside"] == 0
    assert set(body["parts"]) == {
        "postgres",
        "redis",
        "broker",
        "spawner",
        "guard",
        "rules",
        "disk",
        "reactor",
        "worker",
        "beat",
        "keeper",
    }


@pytest.mark.django_db(transaction=True)
def test_a_part_says_itself_what_is_wrong_with_it_and_a_silent_one_is_missed() -> None:
    sign("reactor", healthy=False, message="not connected to the broker")
    sign("worker", ago=timedelta(minutes=1))
    parts = readyz(503)["parts"]
    assert parts["reactor"]["message"] == "not connected to the broker"
    assert parts["worker"]["message"].startswith("no sign of life for 6")
    assert parts["beat"]["message"] == "has not started yet"
    assert parts["postgres"]["healthy"]
