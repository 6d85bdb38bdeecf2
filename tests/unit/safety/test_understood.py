"""What rules see of the command of an action, on this machine and in a container."""

import pytest

from appliance.lib.jsontypes import JsonObject
from appliance.safety.understood import classify, understand_action


@pytest.mark.parametrize(
    "arguments", [{"args": ["cat", "x"]}, {"command": "ls"}, {"command": ""}, {"command": "x=1"}]
)
def test_a_command_in_a_container_never_only_reads(arguments: JsonObject) -> None:
    assert classify("shell", arguments)[0] == "read"
    for kind, more in (("container", {}), ("shell", {"sandbox": "docker"})):
        assert classify(kind, arguments | more)[0] == "change"
        found = understand_action(kind, arguments | more)
        assert found
        assert found.plan is None, "the programs of this machine are not looked at"
        assert found.as_json()["class"] == found.in_short()["class"] == "change"
        assert "image" in found.reasons[0]


def test_in_a_container_a_stricter_class_stays() -> None:
    assert classify("container", {"command": "rm x"})[0] == "destroy"
    assert classify("container", {"command": "ls > $f"})[0] == "unknown"


@pytest.mark.parametrize("arguments", [{"command": "echo $((x))"}, {"args": ["sh", "-c", "echo $((x))"]}])
def test_the_shell_of_an_image_may_be_bash(arguments: JsonObject) -> None:
    assert classify("container", arguments)[0] == "unknown"
