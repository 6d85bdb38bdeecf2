import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection

from appliance.accounts.domain import Role
from appliance.accounts.models import User
from appliance.accounts.principal import BOX, CONSOLE, NotAllowed, Principal
from appliance.audit.models import AuditRecord
from appliance.events import AllStopChanged
from appliance.events.services import current_cursor, read_after
from appliance.lib.config import get_config
from appliance.safety.allstop import CHANNEL, adopt_file, current, current_async, engage, release
from appliance.safety.errors import ReleaseRefused, SwitchAway
from appliance.safety.stop import Level, StopFile
from tests.database import connect_async
from tests.wait import wait_for

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ANA = Principal("user:ana", Role.ENGINEER)
FILE = Principal("file", Role.ADMIN)


def test_a_stop_holds_until_it_is_released(tmp_path: Path) -> None:
    before = current(tmp_path)
    stop = engage(Level.KILL, "smoke in hall 3", ANA, NOW, tmp_path)
    assert (stop.level, stop.by, stop.reason, stop.since) == (Level.KILL, "user:ana", "smoke in hall 3", NOW)
    assert current(tmp_path) == stop
    assert stop.epoch > before.epoch
    ended = release("all clear", ANA, NOW, tmp_path)
    assert not ended.engaged
    assert ended.epoch > stop.epoch
    assert not StopFile(tmp_path).path.exists()


def test_a_weaker_stop_does_not_lower_a_stricter_one(tmp_path: Path) -> None:
    engage(Level.CUT, "first", ANA, NOW, tmp_path)
    assert engage(Level.FREEZE, "second", ANA, NOW, tmp_path).level is Level.CUT
    assert StopFile(tmp_path).level() is Level.CUT
    assert engage(Level.READ_ONLY, "third", ANA, NOW, tmp_path).level is Level.READ_ONLY


def test_each_change_is_an_event_and_on_record(tmp_path: Path) -> None:
    start = current_cursor()
    engage(Level.FREEZE, "r", ANA, NOW, tmp_path)
    engage(Level.FREEZE, "pressed again", ANA, NOW, tmp_path)
    release("ok", ANA, NOW, tmp_path)
    events = wait_for(lambda: len(found := read_after(start).entries) == 2 and found)
    assert [entry.event.level for entry in events if isinstance(entry.event, AllStopChanged)] == [
        "freeze",
        "none",
    ]
    kinds = AuditRecord.objects.filter(subject="allstop").order_by("-seq").values_list("kind", flat=True)[:3]
    assert list(kinds) == ["allstop.release", "allstop.engage", "allstop.engage"]


def test_a_file_by_hand_stops_and_is_taken_over_once(tmp_path: Path) -> None:
    (tmp_path / "ALLSTOP").touch()
    assert current(tmp_path).level is Level.FREEZE
    assert current(tmp_path).by == "file"
    assert adopt_file(NOW, tmp_path) is not None
    assert adopt_file(NOW, tmp_path) is None
    (tmp_path / "ALLSTOP").unlink()
    assert current(tmp_path).engaged, "removing the file is not a release"
    assert not release("ok", ANA, NOW, tmp_path).engaged


def test_a_stop_by_file_alone_is_released_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "ALLSTOP").write_text("cut")
    assert not release("ok", ANA, NOW, tmp_path).engaged
    assert not (tmp_path / "ALLSTOP").exists()


def test_whoever_engages_keeps_their_name_though_the_file_was_adopted_first(tmp_path: Path) -> None:
    StopFile(tmp_path).write(Level.FREEZE, "user:ana", "r")
    adopt_file(NOW, tmp_path)
    assert engage(Level.FREEZE, "r", ANA, NOW, tmp_path).by == "user:ana"


def test_a_stop_works_with_the_database_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*args: Any) -> None:
        raise OperationalError("away")

    monkeypatch.setattr("appliance.safety.allstop._change", away)
    with pytest.raises(SwitchAway, match="ALLSTOP"):
        engage(Level.CUT, "fire", ANA, NOW, tmp_path)
    assert StopFile(tmp_path).level() is Level.CUT
    with pytest.raises(SwitchAway):
        release("ok", ANA, NOW, tmp_path)
    assert StopFile(tmp_path).level() is Level.CUT, "a release that failed released nothing"


def test_a_stop_works_with_the_disk_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(StopFile, "write", full)
    assert engage(Level.CUT, "fire", ANA, NOW, tmp_path).level is Level.CUT


@pytest.mark.parametrize(
    "by", [BOX, CONSOLE, Principal("mqtt", Role.ADMIN), Principal("mqtt:plc", Role.ADMIN), FILE]
)
def test_only_a_person_releases(tmp_path: Path, by: Principal) -> None:
    engage(Level.FREEZE, "r", ANA, NOW, tmp_path)
    with pytest.raises(ReleaseRefused, match="no person"):
        release("all clear", by, NOW, tmp_path)
    with pytest.raises(ReleaseRefused, match="say why"):
        release(" \n", ANA, NOW, tmp_path)
    with pytest.raises(NotAllowed):
        release("all clear", Principal("user:olga", Role.OPERATOR), NOW, tmp_path)
    assert current(tmp_path).engaged
    assert StopFile(tmp_path).level() is Level.FREEZE
    release("all clear", ANA, NOW, tmp_path)


def test_many_hands_at_once_give_one_change(tmp_path: Path) -> None:
    start = current(tmp_path).epoch

    def press(_: int) -> None:
        try:
            engage(Level.KILL, "r", ANA, NOW, tmp_path)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(press, range(8)))
    assert current(tmp_path).epoch == start + 1


async def test_processes_hear_of_a_stop_at_its_commit(tmp_path: Path) -> None:
    async with await connect_async() as db:
        await db.execute(f"LISTEN {CHANNEL}")
        stop = await asyncio.to_thread(_engage, tmp_path)
        async for notice in db.notifies(timeout=5, stop_after=1):
            assert int(notice.payload) == stop
        assert (await current_async(db, tmp_path)).level is Level.FREEZE


def _engage(home: Path) -> int:
    try:
        return engage(Level.FREEZE, "r", ANA, NOW, home).epoch
    finally:
        connection.close()


def test_the_command_engages_shows_and_releases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = get_config()
    moved = config.model_copy(update={"home": type(config.home)(tmp_path, config.home.id)})
    for module in ("appliance.safety.allstop", "appliance.processes.management.commands.allstop"):
        monkeypatch.setattr(f"{module}.get_config", lambda: moved)

    def told(*arguments: str) -> str:
        call_command("allstop", *arguments)
        return capsys.readouterr().out.strip()

    User.objects.create_user("ana", role=Role.ENGINEER)
    assert told("status") == "The box is not stopped."
    engaged = json.loads(told("engage", "--level", "kill", "--reason", "smoke", "--json"))
    assert (engaged["level"], engaged["by"], engaged["reason"]) == ("kill", "console", "smoke")
    assert told("status").startswith("The box is stopped: kill, by console")

    def away(*args: Any) -> None:
        raise OperationalError("away")

    monkeypatch.setattr("appliance.safety.allstop._change", away)
    assert "stopped: read_only" in told("engage", "--level", "read_only")
    with pytest.raises(CommandError, match="database is away"):
        call_command("allstop", "release", "--as", "ana", "--reason", "all clear")
    monkeypatch.undo()
    with pytest.raises(CommandError, match="no account bob"):
        call_command("allstop", "release", "--as", "bob", "--reason", "all clear")
    release("ok", ANA, NOW, tmp_path)
