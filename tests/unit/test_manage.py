"""The command line, before any command of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import CommandError

from appliance.lib.config import ROOT
from appliance.lib.errors import MillwrightError
from appliance.processes.command_line import CommandLine
from appliance.runs.management.commands.policy import Command


def test_a_box_that_does_not_run_is_told_in_two_lines(tmp_path: Path) -> None:
    environment = {**os.environ, "MILLWRIGHT_HOME": str(tmp_path / "home")}
    for name in ("DATABASE_URL", "REDIS_URL", "MQTT_URL"):
        environment.pop(name, None)
    done = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "tasks", "list"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "does not answer" in done.stderr.splitlines()[0]
    assert "make up" in done.stderr.splitlines()[1]
    assert "Traceback" not in done.stderr


def test_settings_that_cannot_be_are_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    environment = {**os.environ, "MILLWRIGHT_HOME": str(tmp_path / "file/home")}
    done = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "agent_server", "--model-path", "tiny"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "cannot be used: Not a directory (set MILLWRIGHT_HOME to a folder" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("error", "said", "status"),
    [
        (CommandError("no such file"), "no such file\n", 1),
        (CommandError("not like that", returncode=2), "not like that\n", 2),
        (MillwrightError("it is away", hint="start it"), "it is away (start it)\n", 1),
    ],
    ids=["a mistake", "usage", "an error of ours"],
)
def test_an_error_is_a_sentence_and_an_exit_status(
    error: Exception,
    said: str,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fails(*args: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(Command, "handle", fails)
    with pytest.raises(SystemExit) as ended:
        CommandLine(["manage.py", "policy", "history"]).execute()
    assert ended.value.code == status
    assert capsys.readouterr() == ("", said)
    with pytest.raises(type(error)):
        CommandLine(["manage.py", "policy", "--traceback", "history"]).execute()


def test_a_wrong_word_is_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        CommandLine(["manage.py", "policy", "nonsense"]).execute()
    assert ended.value.code == 2
    assert "invalid choice: 'nonsense'" in capsys.readouterr().err
