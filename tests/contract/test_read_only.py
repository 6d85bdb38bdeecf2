"""At the all-stop's level ``read_only`` nothing changes: every address, every command, every chat word."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command, get_commands
from django.test import Client
from pytest_django import Settings

from appliance.accounts.domain import Role
from appliance.accounts.models import User
from appliance.accounts.principal import BOX, Principal
from appliance.accounts.services import create_user
from appliance.bridges.commands import parse_command
from appliance.bridges.ports import ChatSender
from appliance.events.models import EventRow
from appliance.processes.bench.addresses import addresses
from appliance.processes.chat import ChatCommands
from appliance.runs.models import Run
from appliance.safety.allstop import Level, current, engage, release
from appliance.safety.errors import ReadOnlyNow
from appliance.safety.read_only import refuse_changes
from appliance.tasks.models import Task
from appliance.tasks.services import apply_text
from webadmin.read_only import EXEMPT, LOCKED

UNSAFE = ("POST", "PUT", "PATCH", "DELETE")
VALUES = {
    "uuid": "0190f5a0-0000-7000-8000-000000000000",
    "int": "1",
    "str": "greet",
    "slug": "greet",
    "path": "some/where",
}
GREET = "- name: greet\n  trigger: manual\n  actions: [{type: set, value: 1}]\n"
SENTENCE = "the all-stop stands at read only"

COMMANDS: dict[str, list[list[str]]] = {
    "tasks": [["apply", "examples"], ["run", "greet"]],
    "explain": [[VALUES["uuid"], "--undo"]],
    "runs": [["cancel", VALUES["uuid"]], ["resume", VALUES["uuid"]], ["undo", VALUES["uuid"]]],
    "devices": [
        ["add", "pump-1"],
        ["revoke", "pump-1"],
        ["commands", "pump-1", "operator"],
        ["silence", "pump-1", "90s"],
    ],
    "brokers": [["add", "hall", "mqtt://192.0.2.1"], ["remove", "hall"]],
    "mcp": [
        ["add", "shop", "--url", "https://tools.example/mcp"],
        ["look", "shop"],
        ["allow", "shop", "find", "--risk", "read"],
        ["close", "shop", "find"],
        ["remove", "shop"],
    ],
    "models": [
        ["import", "pyproject.toml", "--name", "tiny"],
        ["remove", "tiny@1"],
        ["serve", "tiny"],
        ["withdraw", "tiny"],
        ["back", "tiny"],
        ["load", "tiny"],
        ["unload", "tiny"],
        ["free", "tiny"],
        ["accept", "tiny"],
        ["drop", "tiny"],
        ["matrix", "chat", "--any"],
    ],
    "platforms": [["load", "examples/brief_platforms.json"]],
    "agent_server": [["--model-path", "tiny", "--platform-config", "examples/brief_platforms.json"]],
    "cache": [
        ["set", "k", "1"],
        ["remove", "k"],
        ["resolve", "1", "mine"],
        ["retry", "1"],
        ["drop", "1"],
        ["peer", "hub", "https://hub.example", "--token", "secret:hub", "--share", "a=ask"],
        ["peer", "hub", "--remove"],
    ],
    "assistant": [["on"], ["off"]],
    "policy": [["apply", "docs/examples/policy.yaml"], ["rollback", "1"]],
    "audit": [["rules", "apply", "docs/examples/alerts.yaml"], ["rules", "rollback", "1"]],
    "approvals": [["approve", "K7Q2M"], ["deny", "K7Q2M"], ["code", "K7Q2M"]],
    "lockouts": [
        ["add", "device", "pump-1", "--as", "ada", "--reason", "r"],
        ["end", "1", "--as", "ada", "--reason", "r"],
    ],
    "maintenance": [
        ["plan", "w", "box", "--days", "mon", "--from", "22:00", "--to", "23:00"],
        ["remove", "w"],
    ],
    "proposals": [["take", VALUES["uuid"]], ["reject", VALUES["uuid"]]],
    "images": [["pin", "tools", f"sha256:{'0' * 64}"], ["unpin", "tools"]],
    "secrets": [["set", "name", "--file", "pyproject.toml"], ["remove", "name"], ["rotate"]],
}
"""Commands that change something, each with the words that do."""
EXEMPT_COMMANDS = {
    "allstop": "engages and releases the stop itself",
    "users": "a lost password must not keep an engineer from the release; the console can release anyway",
    "setup_link": "a box without an administrator has nobody who could release the stop",
    "network": "shows what the box sees of the network",
    "simulate": "plays devices outside the box, which an all-stop does not stop either",
    "reference": "writes documentation into the source tree",
    "doctor": "looks, and writes documentation into the source tree",
    "tls": "shows a certificate, or makes one that counts from the next start",
    "bench": "measures a box of its own",
    "agent_suite": "works on a box of its own, which it makes and removes",
    "hardware": "shows what the machine has",
    "quotas": "shows limits; a change is its service's to refuse",
    "router": "shows what a sentence means; forgetting an example is its service's to refuse",
    "knowledge": "looks at files and changes none",
    "distil": "writes a file that only proposes",
    "quantize": "writes a file into a folder that it is told; the box serves nothing of it",
    **dict.fromkeys(("up", "down", "status", "install"), "starts, stops and shows the processes"),
    **dict.fromkeys(
        ("web", "worker", "beat", "reactor", "keeper", "guard", "forkserver"),
        "is one of the box's own processes",
    ),
}


@pytest.fixture(autouse=True)
def _no_collected_files(settings: Settings) -> None:
    settings.STATIC_ROOT = None
    settings.WHITENOISE_AUTOREFRESH = True


@pytest.fixture
def _an_empty_page(settings: Settings, tmp_path: Path) -> None:
    """In the place of the refusal's own, which another test looks at: a thousand take most of a minute."""
    (tmp_path / "423.html").touch()
    [engine] = settings.TEMPLATES
    settings.TEMPLATES = [{**engine, "DIRS": [tmp_path, *engine["DIRS"]]}]


@pytest.fixture
def admin(db: None) -> User:
    return create_user("ada", "hammer-and-anvil-7", Role.ADMIN, BOX)


@pytest.fixture
def stopped(admin: User) -> Iterator[User]:
    apply_text(GREET, "greet.yaml", BOX, datetime.now(UTC))
    engage(Level.READ_ONLY, "smoke at press 7", BOX, datetime.now(UTC))
    yield admin
    release("over", Principal("user:ana", Role.ADMIN), datetime.now(UTC))


def all_addresses() -> list[tuple[str, str]]:
    """Every address with a value in each of its places, and its name."""
    return [(one.filled(VALUES).removeprefix("/"), one.name) for one in addresses()]


def test_the_walk_finds_what_is_there() -> None:
    found = dict(all_addresses())
    assert found["tasks/greet/switch/"] == "task-switch"
    assert any(name.startswith("api-1:") for name in found.values())
    assert any(name.startswith("admin:") for name in found.values())
    assert len(found) > 60


def test_every_exemption_names_an_address_that_exists_and_says_why() -> None:
    assert set(EXEMPT) <= {name for _, name in all_addresses()}
    assert all(len(reason) > 20 for reason in EXEMPT.values())


@pytest.mark.usefixtures("_an_empty_page")
def test_every_unsafe_request_is_refused_or_exempt(stopped: User) -> None:
    client = Client(raise_request_exception=False)
    client.force_login(stopped)
    before = snapshot()
    for path, name in all_addresses():
        for method in UNSAFE if name not in EXEMPT else ():
            answer = client.generic(method, f"/{path}", b"{}", content_type="application/json")
            assert answer.status_code == LOCKED, (method, path, name)
    assert snapshot() == before


def snapshot() -> list[Any]:
    return [Run.objects.count(), Task.objects.get().enabled, EventRow.objects.count(), current().epoch]


def test_what_is_exempt_goes_through(stopped: User) -> None:
    client = Client(raise_request_exception=False)
    for path, name in all_addresses():
        if name in EXEMPT and name not in ("stop-release", "api-1:let_go"):
            client.force_login(stopped)
            assert client.post(f"/{path}").status_code != LOCKED, (path, name)
    assert current().level is Level.READ_ONLY


def test_a_person_and_a_program_are_told_what_stands_in_the_way(stopped: User) -> None:
    client = Client()
    client.force_login(stopped)
    page = client.post("/tasks/greet/start/")
    assert "Nothing was changed" in page.content.decode()
    assert "/stop/release/" in page.content.decode()
    answer = client.post("/api/v1/tasks/greet/run")
    assert answer.json()["code"] == "safety.read_only"
    assert "smoke at press 7" in answer.json()["message"]


def test_an_engineer_releases_it_and_everything_goes_on(stopped: User) -> None:
    client = Client()
    client.force_login(stopped)
    client.post("/stop/release/", {"reason": "over"})
    assert client.post("/tasks/greet/start/").status_code == 302
    assert Run.objects.count() == 1


def test_a_level_below_refuses_no_request(admin: User) -> None:
    apply_text(GREET, "greet.yaml", BOX, datetime.now(UTC))
    engage(Level.CUT, "", BOX, datetime.now(UTC))
    client = Client()
    client.force_login(admin)
    assert client.post("/tasks/greet/switch/", {"enabled": "no"}).status_code == 302
    release("over", Principal("user:ana", Role.ADMIN), datetime.now(UTC))


def test_every_command_refuses_or_is_exempt(stopped: User) -> None:
    ours = {name for name, app in get_commands().items() if str(app).startswith(("appliance", "webadmin"))}
    assert ours == set(COMMANDS) | set(EXEMPT_COMMANDS)
    for name, uses in COMMANDS.items():
        for words in uses:
            with pytest.raises(CommandError, match=SENTENCE):
                call_command(name, *words)
    assert Task.objects.count() == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("run greet", SENTENCE),
        ("answer K7Q2M run", SENTENCE),
        ("ack K7Q2MX", SENTENCE),
        ("mute greet", SENTENCE),
        ("status", "Tasks: greet"),
        ("stop", "All-stop is on"),
    ],
)
@pytest.mark.django_db(transaction=True)
def test_chat_answers_and_starts_nothing(text: str, says: str, stopped: User) -> None:
    before = Run.objects.count()
    command = parse_command(text, key="k", received_at=datetime.now(UTC))
    sender = ChatSender(stopped.pk, "ada", "webchat", "1", "web/ada")
    answer = ChatCommands()._answer(command, sender)
    assert says in answer
    assert Run.objects.count() == before


def test_the_box_itself_goes_on(stopped: User) -> None:
    refuse_changes(BOX)
    with pytest.raises(ReadOnlyNow):
        refuse_changes(stopped.principal)


def test_the_answer_of_the_api_is_json(stopped: User) -> None:
    assert set(json.loads(Client().post("/api/v1/tasks/apply").content)) == {"code", "message", "hint"}
