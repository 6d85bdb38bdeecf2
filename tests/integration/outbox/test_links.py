"""The machine's own side, in a network namespace of its own: a cable in, a cable out, a route."""

import json
import shutil
import subprocess
import sys
from typing import Any

import pytest

from appliance.lib.config import ROOT

_LOOK = """
import asyncio, dataclasses, json, subprocess, sys
from appliance.outbox.network.domain import Endpoint, TargetKind
from appliance.outbox.network.links import read_links
from appliance.outbox.network.probing import Prober

def look():
    answer = asyncio.run(Prober(limit=1).look(Endpoint("x", TargetKind.NAMED, "10.9.8.7", 80)))
    return {**dataclasses.asdict(read_links()), "reason": answer.reason}

found = [look()]
for command in sys.argv[1:]:
    subprocess.run(command.split(), check=True)
    found.append(look())
print(json.dumps(found))
"""


def in_namespace(*commands: str) -> list[dict[str, Any]]:
    """What is seen before and after each command, in a namespace that ends with the call."""
    if not shutil.which("unshare") or not shutil.which("ip"):
        pytest.skip("unshare and ip are not installed")
    if subprocess.run(["unshare", "-rn", "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this user may not make a network namespace")
    # /sys shows the namespace that it was mounted in.
    mount = 'mount -t sysfs sysfs /sys 2>/dev/null || exit 77; exec "$@"'
    done = subprocess.run(
        ["unshare", "-rnm", "sh", "-c", mount, "sh", sys.executable, "-c", _LOOK, *commands],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 77:
        pytest.skip("sysfs cannot be mounted in a namespace here")
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def test_a_cable_and_a_route_are_seen_as_they_come_and_go() -> None:
    seen = in_namespace(
        "ip link add cable type veth peer name other",
        "ip link set other up",
        "ip link set cable up",
        "ip addr add 192.168.77.2/24 dev cable",
        "ip route add default via 192.168.77.1",
        "ip link set cable down",
    )
    links = [one["interfaces"] for one in seen]
    assert links == [[], [], [], ["cable", "other"], ["cable", "other"], ["cable", "other"], []]
    assert [one["default_route"] for one in seen] == [False, False, False, False, False, True, False]
    assert seen[0]["reason"] == "Network is unreachable"
    assert seen[-1]["reason"] == "Network is unreachable"
