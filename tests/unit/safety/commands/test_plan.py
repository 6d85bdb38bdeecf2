"""The programs of a command: found as exec finds them, pinned by digest, and trusted only when they are root's."""

import hashlib
import os
from pathlib import Path

import pytest

from appliance.lib.jsontypes import JsonObject
from appliance.safety.commands import CommandClass, plan, understand, understand_argv
from appliance.safety.understood import understand_action


def program(folder: Path, name: str, text: str = "#!/bin/sh\n") -> Path:
    path = folder / name
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_the_shell_and_every_program_are_pinned_by_their_real_path() -> None:
    made = plan(understand("env nice cat x | grep y", []))
    shell = os.path.realpath("/bin/sh")
    assert made.executable == shell
    assert made.pins[shell] == hashlib.sha256(Path(shell).read_bytes()).hexdigest()
    assert {Path(path).name for path in made.pins} >= {"cat", "nice", "env", "grep"}
    assert made.pins.keys() == made.seen.keys()
    assert (made.untrusted, made.missing) == ((), ())


def test_the_shells_own_commands_and_what_runs_elsewhere_are_no_programs_of_this_machine() -> None:
    assert set(plan(understand("cd /srv; test -f x; echo y", [])).pins) == {os.path.realpath("/bin/sh")}
    names = {name for leaf in understand("ssh h rm x", []).leaves for name in leaf.binaries}
    assert names == {"ssh"}


def test_a_program_that_others_may_change_is_not_understood(tmp_path: Path) -> None:
    program(tmp_path, "cat")
    tmp_path.chmod(0o777)
    made = plan(understand_argv(["cat", "x"]), [str(tmp_path)])
    assert made.kind is CommandClass.UNKNOWN
    assert str(tmp_path) in made.untrusted[0]
    assert list(made.pins) == [str(tmp_path / "cat")]


def test_another_content_is_another_digest_even_with_the_same_size_and_time(tmp_path: Path) -> None:
    path = program(tmp_path, "cat", "#!/bin/sh\n: a\n")
    before = plan(understand_argv(["cat"]), [str(tmp_path)])
    times = path.stat()
    path.write_text("#!/bin/sh\n: b\n")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert plan(understand_argv(["cat"]), [str(tmp_path)]).digest != before.digest


def test_the_class_of_an_action_counts_its_programs_and_its_environment(tmp_path: Path) -> None:
    action: JsonObject = {"args": ["cat", "x"], "env": {}}
    found = understand_action("shell", action)
    assert found
    assert found.kind is CommandClass.READ
    program(tmp_path, "cat")
    moved = understand_action("shell", {**action, "env": {"PATH": str(tmp_path)}})
    assert moved
    assert moved.kind is CommandClass.UNKNOWN
    assert "PATH" in moved.reasons[-1]
    keys = understand_action("shell", {**action, "env": {"SSLKEYLOGFILE": "/tmp/keys"}})
    assert keys
    assert keys.kind is CommandClass.CHANGE
    assert "SSLKEYLOGFILE" in keys.reasons[-1]
    shown = understand_action("shell", {**action, "env": {"TZ": "Asia/Shanghai", "LC_ALL": "C"}})
    assert shown
    assert shown.kind is CommandClass.READ
    assert understand_action("mqtt", {"topic": "a"}) is None


def test_the_programs_of_a_container_are_not_looked_for_on_this_machine() -> None:
    for arguments in ({"args": ["ls", "/"]}, {"command": {"script": "ls /", "arguments": []}}):
        found = understand_action("container", arguments)  # type: ignore[arg-type]
        assert found is not None
        assert found.plan is None


@pytest.mark.parametrize(
    "arguments", [{}, {"args": None}, {"command": None}, {"command": {}}, {"args": [1, None]}]
)
def test_arguments_of_any_shape_are_answered(arguments: dict[str, object]) -> None:
    assert understand_action("shell", arguments)  # type: ignore[arg-type]  # any shape is the point
