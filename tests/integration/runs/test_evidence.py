"""The bundle of a run holds what is known of it, proves it anywhere, and tells no secret."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async

from appliance.accounts.domain import Role
from appliance.accounts.principal import CONSOLE, NotAllowed, Principal
from appliance.audit.bundle.archive import pack, unpack
from appliance.audit.bundle.sealed import verify_bundle
from appliance.audit.heads import fingerprint
from appliance.audit.models import AuditRecord
from appliance.runs.evidence.services import Bundle, export_run
from appliance.runs.services import RunNotFound
from appliance.safety.policy.services import apply as apply_policy
from appliance.safety.secrets import set_secret
from tests.integration.runs.conftest import Engine

ROOT = Path(__file__).resolve().parents[3]
NOW = datetime(2026, 3, 1, tzinfo=UTC)
TASK = """
- name: fill
  trigger: manual
  actions:
    - {id: say, type: mqtt, topic: plant/line1/cmd, payload: "open hunter2222"}
    - {id: tell, type: notification, platform: webchat, message: "it is open"}
"""
POLICY = """policy: 1
name: plant
layer: box
rules: [{id: line-one, topic: plant/line1/#, decide: allow}]
"""


@pytest.fixture
def taken(engine: Engine) -> Any:
    """A run that has done its first step by a rule of the policy, and its bundle."""

    async def take() -> tuple[UUID, Bundle]:
        await sync_to_async(apply_policy)(POLICY, "p", CONSOLE, NOW, kinds=("mqtt", "notification"))
        await engine.load(TASK)
        run_id = await engine.start("fill")
        await engine.perform(run_id)
        await sync_to_async(set_secret)("valve", "hunter2222", CONSOLE, NOW)
        return run_id, await sync_to_async(export_run)(run_id, CONSOLE, datetime.now(UTC))

    return take


async def test_it_holds_what_was_asked_allowed_and_done(taken: Any, tmp_path: Path) -> None:
    run_id, bundle = await taken()
    files = unpack(bundle.content)
    assert json.loads(files["run.json"])["id"] == str(run_id)
    assert [one["step"] for one in json.loads(files["steps.json"])] == ["say", "tell"]
    assert files["task.yaml"].decode().strip().startswith("- name: fill")
    assert json.loads(files["decisions.json"])[0]["gate"] == "box/line-one@1"
    assert files["policy/box-v1.yaml"].decode() == POLICY
    assert json.loads(files["outbox.json"])[0]["message"]["text"] == "it is open"
    kinds = [json.loads(line)["record"]["kind"] for line in files["audit.jsonl"].splitlines()]
    assert kinds[0] == "run.started"
    assert kinds[-1] == "audit.exported"
    file = tmp_path / bundle.name
    file.write_bytes(bundle.content)
    report, manifest = verify_bundle(file, bundle.key)
    assert report.intact, report.problems
    assert manifest["run"] == str(run_id)


async def test_the_value_of_a_secret_is_nowhere_in_it(taken: Any) -> None:
    """Also where a step was given it before anybody knew that it was one; its record is left out, and that is said."""
    _, bundle = await taken()
    assert b"hunter2222" not in bundle.content
    files = unpack(bundle.content)
    assert "•••" in files["steps.json"].decode()
    assert json.loads(files["manifest.json"])["notes"][-1].endswith(
        "hold the value of a secret and are left out."
    )


async def test_taking_it_is_itself_on_record(taken: Any) -> None:
    run_id, _ = await taken()
    last = await AuditRecord.objects.order_by("-seq").afirst()
    assert last is not None
    assert (last.kind, last.principal, last.subject) == ("audit.exported", "console", str(run_id))


async def test_only_who_may_read_the_record_takes_it(taken: Any) -> None:
    run_id, _ = await taken()
    with pytest.raises(NotAllowed):
        await sync_to_async(export_run)(run_id, Principal("user:oto", Role.OPERATOR), NOW)
    with pytest.raises(RunNotFound):
        await sync_to_async(export_run)(UUID(int=7), CONSOLE, NOW)


def command(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """On another machine: its home is empty, and no database answers."""
    environ = {name: value for name, value in os.environ.items() if not name.endswith("_URL")}
    environ |= {"MILLWRIGHT_HOME": str(home), "DATABASE_URL": "postgresql://nobody@127.0.0.1:9/nothing"}
    return subprocess.run(
        [sys.executable, "manage.py", "audit", "verify", *words], cwd=ROOT, env=environ, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


async def test_another_machine_verifies_it_and_names_what_was_changed(taken: Any, tmp_path: Path) -> None:
    _, bundle = await taken()
    home, file = tmp_path / "home", tmp_path / bundle.name
    file.write_bytes(bundle.content)
    fine = command(home, str(file), "--key", fingerprint(bundle.key))
    assert fine.returncode == 0, fine.stdout + fine.stderr
    assert "intact" in fine.stdout
    files = unpack(bundle.content)
    files["steps.json"] = files["steps.json"].replace(b"succeeded", b"cancelled", 1)
    file.write_bytes(pack(files))
    changed = command(home, str(file), "--key", "0000 " * 8)
    assert changed.returncode == 1
    assert "file_changed: the file steps.json was changed" in changed.stdout
    assert "another_key: the key is not the one with the given fingerprint" in changed.stdout
