"""The run page says in one line what a step's command does, in both languages."""

import json
from collections.abc import Callable
from uuid import UUID

import pytest
from django.db import connection
from django.test import Client

from appliance.accounts.domain import Role


@pytest.mark.parametrize(
    ("kind", "english", "chinese"),
    [
        ("read", "Command: reads only", "命令: 只读取"),
        ("change", "Command: makes changes", "命令: 会更改"),
        ("destroy", "Command: destroys (`rm` removes files)", "命令: 会破坏"),
        ("unknown", "Command: not understood", "命令: 无法判断"),
    ],
)
def test_the_line_is_there_in_english_and_chinese(
    browser: Callable[[Role], Client], ended_run: Callable[..., UUID], kind: str, english: str, chinese: str
) -> None:
    client, run_id = browser(Role.VIEWER), ended_run(steps=1)
    detail = json.dumps({"command": {"class": kind, "reasons": ["`rm` removes files"]}})
    with connection.cursor() as cursor:
        cursor.execute("UPDATE runs_step SET detail = %s WHERE run_id = %s", [detail, run_id])
    assert english in text(client, run_id)
    client.post("/language/", {"language": "zh-hans", "next": "/"})
    assert chinese in text(client, run_id)


def test_a_step_without_a_command_has_no_such_line(
    browser: Callable[[Role], Client], ended_run: Callable[..., UUID]
) -> None:
    assert "Command:" not in text(browser(Role.VIEWER), ended_run(steps=1))


def text(client: Client, run_id: UUID) -> str:
    """The page with every run of blanks made one."""
    return " ".join(client.get(f"/runs/{run_id}/").content.decode().split())
