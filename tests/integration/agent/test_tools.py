"""What the box tells of itself: within the rights of whoever asks, bounded, and without secrets."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from appliance.accounts.domain import Role
from appliance.accounts.grants import Grant
from appliance.accounts.principal import BOX, NotAllowed, Principal
from appliance.agent.errors import QueryRefused
from appliance.agent.tools.contract import Asking, QueryTool
from appliance.agent.tools.registry import tools
from appliance.alerts.models import Alert
from appliance.bus.models import TopicValue
from appliance.cache.services import set_value
from appliance.devices.models import Device
from appliance.lib.config import get_config
from appliance.lib.identity import uuid7
from appliance.lib.masking import KNOWN
from appliance.runs.services import RunNotFound
from appliance.safety.approvals.models import Approval
from appliance.tasks.services import apply_text

NOW = datetime.now(UTC)
VIEWER = Principal("user:vic", Role.VIEWER)
ENGINEER = Principal("user:eva", Role.ENGINEER)
pytestmark = pytest.mark.django_db


def ask(name: str, by: Principal = ENGINEER, /, **given: Any) -> Any:
    tool = tools()[name]
    assert isinstance(tool, QueryTool)
    return tool.answer(tool.arguments.model_validate(given), Asking(by, NOW))


QUERIES = sorted(name for name, tool in tools().items() if isinstance(tool, QueryTool))


@pytest.mark.parametrize("name", QUERIES)
def test_no_query_tells_anything_to_who_may_not_even_look(name: str) -> None:
    nobody = Principal("token:x/y", Role.VIEWER, scopes=frozenset())
    try:
        answer = ask(name, nobody, **tools()[name].example)
    except (NotAllowed, QueryRefused, RunNotFound):
        return
    assert answer == [], name


@pytest.mark.parametrize(
    "name", ["logs", "alerts.list", "audit.search", "containers.list", "containers.logs"]
)
def test_what_only_engineers_see_is_refused_to_others(name: str) -> None:
    with pytest.raises(NotAllowed):
        ask(name, VIEWER, **tools()[name].example)


# --- logs


@pytest.fixture
def log_file() -> Iterator[Path]:
    folder = get_config().home.logs
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "toolstest.log"
    yield file
    file.unlink(missing_ok=True)


def line(ago: timedelta, level: str, text: str) -> str:
    return f"{(NOW - ago):%Y-%m-%d %H:%M:%S},123 {level} appliance.x {text}\n"


def test_a_log_is_filtered_by_word_level_and_time_with_its_tracebacks(log_file: Path) -> None:
    log_file.write_text(
        line(timedelta(days=2), "ERROR", "pump old")
        + line(timedelta(minutes=5), "INFO", "pump starts")
        + line(timedelta(minutes=4), "ERROR", "pump broke")
        + "Traceback (most recent call last):\n  ValueError: 7\n"
        + line(timedelta(minutes=3), "WARNING", "valve is slow")
    )
    assert "toolstest" in ask("logs")["services"]
    found = ask("logs", service="toolstest", word="pump", level="WARNING", last="1h")["lines"]
    assert [one.partition(" appliance.x ")[2] or one for one in found] == [
        "pump broke",
        "Traceback (most recent call last):",
        "  ValueError: 7",
    ]
    assert len(ask("logs", service="toolstest", last="3d")["lines"]) == 6
    assert "valve" in ask("logs", service="toolstest", most=1)["lines"][0]


def test_the_logs_of_the_engines_are_read_too(log_file: Path) -> None:
    at = f"{NOW:%Y-%m-%d %H:%M:%S}"
    log_file.write_text(
        f"{at}.123 UTC [17] LOG:  ready\n{at}.124 UTC [17] FATAL:  no room\n"
        f"[9] {at.replace('-', '/')}.125 [ERR] refused\n[9] {at.replace('-', '/')}.126 [INF] listens\n"
    )
    found = ask("logs", service="toolstest", level="ERROR")["lines"]
    assert [one.rpartition(" ")[2] for one in found] == ["room", "refused"]
    log_file.write_text("a line without a time\n")
    assert ask("logs", service="toolstest")["lines"] == ["a line without a time"]


def test_a_log_is_bounded_and_holds_no_secret(log_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    KNOWN.learn("hunter2-hunter2")
    log_file.write_text(
        line(timedelta(0), "INFO", "x" * 5_000) + line(timedelta(0), "INFO", "hunter2-hunter2")
    )
    try:
        found = ask("logs", service="toolstest")["lines"]
    finally:
        KNOWN.forget()
    assert max(map(len, found)) <= 600
    assert "hunter2" not in str(found)


@pytest.mark.parametrize("name", ["../secrets/postgres", "/etc/passwd", "gone", "toolstest.log"])
def test_no_other_file_is_read_as_a_log(name: str, log_file: Path) -> None:
    log_file.write_text("x\n")
    with pytest.raises(QueryRefused):
        ask("logs", service=name)


def test_a_link_in_the_place_of_a_log_is_not_followed(log_file: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hidden")
    log_file.symlink_to(tmp_path / "secret")
    with pytest.raises(QueryRefused):
        ask("logs", service="toolstest")


# --- devices, values, approvals, tasks, alerts


def test_a_device_with_its_last_values_and_no_others() -> None:
    Device.objects.create(
        name="pump-3", username="pump-3", password_hash="$2b$secret", created_at=NOW,
        publish=["devices/pump-3/#", "plant/+/pump3"], subscribe=["devices/pump-3/#"],
    )  # fmt: skip
    for topic in ("devices/pump-3/temp", "devices/pump-33/temp", "plant/hall/pump3", "plant/hall/pump4"):
        TopicValue.objects.create(topic=topic, payload=b"1", size=1, value=81, quality="good", at=NOW)
    found = ask("devices.show", device="pump-3")
    assert [one["topic"] for one in found["values"]] == ["devices/pump-3/temp", "plant/hall/pump3"]
    assert found["state"] == "unknown"
    assert "$2b$" not in str(found)
    with pytest.raises(QueryRefused):
        ask("devices.show", device="gone")


def test_kept_values_by_the_beginning_of_their_keys() -> None:
    set_value("backup/last", "ok", BOX)
    set_value("backup/size", "x" * 9_000, BOX)
    set_value("other", 1, BOX)
    found = ask("values.get", VIEWER, key="backup/")
    assert [one["key"] for one in found] == ["backup/last", "backup/size"]
    assert found[0]["value"] == "ok"
    assert "9,0" in found[1]["value"]
    assert len(found[1]["value"]) < 2_100


def test_an_approval_is_told_without_what_could_give_it() -> None:
    Approval.objects.create(
        id=uuid7(), code="K7Q2M", token_digest="d", purpose="effect", run_id=uuid7(), step="stop", attempt=1,
        task="pump", kind="mqtt", digest="x", requested_by="user:ana", requester="ana", approvers="engineer",
        state="open", shown="mqtt pump/3 off", created_at=NOW, expires_at=NOW + timedelta(hours=1),
    )  # fmt: skip
    (found,) = ask("approvals.list", VIEWER)
    assert (found["task"], found["asks"]) == ("pump", "mqtt pump/3 off")
    assert "K7Q2M" not in str(found)
    assert ask("approvals.list", VIEWER, task="other") == []


def test_a_task_is_read_whole_in_pieces_and_its_times_ahead() -> None:
    long = "x" * 6_000
    text = f"- name: nightly\n  trigger: 'every 1h'\n  actions: [{{type: set, value: '{long}'}}]\n"
    apply_text(text, "n.yaml", BOX, NOW)
    first = ask("tasks.show", VIEWER, task="nightly")
    second = ask("tasks.show", VIEWER, task="nightly", begin=first["next"])
    assert first["version"] == 1
    assert second["next"] is None
    assert (first["text"] + second["text"]).count("x") == 6_000
    found = ask("calendar", VIEWER, ahead="3h")
    assert {one["task"] for one in found} == {"nightly"}
    assert {one["state"] for one in found} == {"planned"}


def test_alerts_and_the_record_to_an_engineer() -> None:
    Alert.objects.create(
        rule="flood", version=1, severity="critical", kind="run.failed", principal="box", subject="pump",
        first_seq=1, last_seq=3, count=3, told=0, opened_at=NOW, last_at=NOW,
    )  # fmt: skip
    assert ask("alerts.list")[0]["rule"] == "flood"
    apply_text("- name: greet\n  trigger: manual\n  actions: [{type: set, value: 1}]\n", "g.yaml", BOX, NOW)
    found = ask("audit.search", about="greet")
    assert found["records"][0]["kind"] == "task.created"


def test_a_steps_whole_output_in_pieces() -> None:
    apply_text("- name: greet\n  trigger: manual\n  actions: [{type: set, value: 1}]\n", "g.yaml", BOX, NOW)
    run_id = uuid7()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO runs_run (id, task_id, version_id, forked_at_step, lane, state, waiting_for, reason, warning,"
            " principal, origin, trigger, priority, inputs, cancel_requested, version, epoch, lease_owner, recoveries,"
            " created_at) SELECT %s, t.id, t.current_id, '', 'worker', 'succeeded', '', '', '', 'user:ana', 'manual',"
            " '', 0, '{}', false, 0, 1, '', 0, now() FROM tasks_task t WHERE t.name = 'greet'",
            [run_id],
        )
        cursor.execute(
            "INSERT INTO runs_step (run_id, step, attempt, position, phase, kind, effect, state, epoch, input, output,"
            " stderr, error, started_at) VALUES (%s, 's', 1, 0, 'actions', 'shell', 'pure', 'succeeded', 1, '{}', %s,"
            " 'oh', '', now())",
            [run_id, f'"{"a" * 5_000}end"'],
        )
    first = ask("runs.output", VIEWER, run=str(run_id), step="s")
    assert (len(first["text"]), first["characters"], first["next"]) == (5_000, 5_003, 5_000)
    assert ask("runs.output", VIEWER, run=str(run_id), step="s", begin=5_000)["text"] == "end"
    assert ask("runs.output", VIEWER, run=str(run_id), step="s", errors=True)["text"] == "oh"
    with pytest.raises(QueryRefused):
        ask("runs.output", run=str(run_id), step="gone")


def test_where_there_is_no_engine_it_says_so_plainly() -> None:
    with pytest.raises(QueryRefused, match=r"no containers|guard is away"):
        ask("containers.list")


def test_a_runbook_is_found_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from appliance.agent.knowledge import services

    (tmp_path / "pumps.md").write_text(f"# Pumps\n\n## Restart\n\n{'Press the green button. ' * 400}\n")
    monkeypatch.setattr(services, "folder", lambda home=None: tmp_path)
    found = ask("knowledge.search", VIEWER, question="restart the pump")
    assert (found[0]["file"], found[0]["heading"], found[0]["line"]) == ("pumps.md", "Pumps › Restart", 3)
    one = ask("knowledge.read", VIEWER, file="pumps.md", heading="restart")
    assert one["heading"] == "Pumps › Restart"
    assert one["next"] == 5_000
    assert ask("knowledge.read", VIEWER, file="pumps.md", heading="Restart", begin=5_000)["next"] is None


def test_grants_count(db: None) -> None:
    granted = Principal("user:gus", Role.VIEWER, (Grant(Role.ENGINEER, "greet"),))
    with pytest.raises(NotAllowed):
        ask("audit.search", granted, about="greet")
