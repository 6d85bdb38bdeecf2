"""Readings for programs, and the pictures of them for people: who may look, and at what."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from django.db import connection
from django.test import Client

from appliance.accounts.domain import Ability, Role
from appliance.accounts.models import User
from appliance.accounts.principal import BOX
from appliance.accounts.tokens import issue_api_token
from appliance.bridges.illustrating import chart_id
from appliance.bridges.models import ChatFile, ChatRecord
from appliance.lib.identity import uuid7
from appliance.outbox.ports import OutboxItem
from appliance.outbox.services import enqueue_now

Browsers = Callable[[Role], Client]
NOW = datetime.now(UTC).replace(microsecond=0)
ADDRESS = "/api/v1/readings?topic=plant/temp"
PICTURE = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def _readings(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM devices_reading")
        for value in (20.0, 83.1):
            row = ("plant/temp", NOW - timedelta(seconds=100 - value), value, value, value)
            cursor.execute("INSERT INTO devices_reading VALUES (%s, '', %s, %s, %s, %s)", row)


@pytest.mark.usefixtures("_readings")
def test_programs_read_how_it_went(person: Callable[[Role], User]) -> None:
    reader = issue_api_token(person(Role.ADMIN), "reader", [Ability.VIEW], BOX, datetime.now(UTC))
    found = Client(headers={"Authorization": f"Bearer {reader}"}).get(ADDRESS).json()
    assert [(one["low"], one["mean"], one["high"]) for one in found["points"]] == [
        (20.0, 20.0, 20.0),
        (83.1, 83.1, 83.1),
    ]
    assert (found["last"], found["width"]) == (83.1, 12.0)
    chatter = issue_api_token(person(Role.ADMIN), "chatter", [Ability.CHAT], BOX, datetime.now(UTC))
    assert Client(headers={"Authorization": f"Bearer {chatter}"}).get(ADDRESS).status_code == 403


@pytest.mark.parametrize(
    "query", ["&points=0", "&points=2001", "&path=a..b", "&since=2026-01-02&until=2026-01-01", "&since=x"]
)
def test_a_question_that_makes_no_sense_is_refused(query: str, browser: Browsers) -> None:
    assert browser(Role.VIEWER).get(f"{ADDRESS}{query}").status_code == 422


def kept(
    identifier: UUID | None = None, name: str = "chart.png", media_type: str = "image/png"
) -> dict[str, str]:
    row = ChatFile.objects.create(
        id=identifier or uuid7(), name=name, media_type=media_type, content=PICTURE, created_at=NOW
    )
    return {"id": str(row.pk), "name": name, "media_type": media_type}


def said(conversation: str, *files: dict[str, str]) -> int:
    row = ChatRecord.objects.create(
        platform="webchat", conversation=conversation, text="hot", files=list(files), created_at=NOW
    )
    return int(row.pk)


def test_people_see_the_pictures_that_they_were_sent(browser: Browsers) -> None:
    number = said("feed", kept(), kept(name="<x>.html", media_type="text/html"))
    client = browser(Role.VIEWER)
    assert f'src="/chat/{number}/files/0/"' in client.get("/chat/").content.decode()
    shown = client.get(f"/chat/{number}/files/0/")
    assert (shown.content, shown["Content-Type"]) == (PICTURE, "image/png")
    saved = client.get(f"/chat/{number}/files/1/")
    assert saved["Content-Type"] == "application/octet-stream"
    assert saved["Content-Disposition"].startswith("attachment")
    other = said("user:somebody", kept())
    for address in (f"/chat/{number}/files/2/", f"/chat/{other}/files/0/", "/chat/0/files/0/"):
        assert client.get(address).status_code == 404
    assert Client().get(f"/chat/{number}/files/0/").status_code == 302


def test_a_picture_belongs_to_its_run(browser: Browsers) -> None:
    run = uuid7()
    chart = {"topics": ["t"], "since": NOW.isoformat(), "until": NOW.isoformat()}
    enqueue_now(OutboxItem(f"{run}/tell", "telegram", {"text": "hot", "chart": chart}, "7", run_id=run))  # type: ignore[dict-item]
    picture = chart_id(f"{run}/tell", NOW)
    client = browser(Role.VIEWER)
    assert client.get(f"/runs/{run}/charts/{picture}/").status_code == 404
    kept(picture)
    assert client.get(f"/runs/{run}/charts/{picture}/").content == PICTURE
    stranger = kept()["id"]
    assert client.get(f"/runs/{run}/charts/{stranger}/").status_code == 404
