"""The compose file, brought up: it works, and no service can do more than it must."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.compose.conftest import ComposeBox
from tests.container_engine import busybox_image, import_image
from tests.outside_world import ADDRESS, outside_world
from tests.wait import wait_for

pytestmark = pytest.mark.slow(sample=False)

CHOWN, DAC_OVERRIDE, SYS_PTRACE = 0, 1, 19
GUARD = 1 << CHOWN | 1 << DAC_OVERRIDE | 1 << SYS_PTRACE
SERVICES = {"web", "worker", "beat", "reactor", "keeper", "spawner", "guard", "database", "redis", "mqtt"}
TASKS = """
- name: echo
  triggers: [{mqtt: {topic: devices/press/in, payload: json}}]
  actions:
    - {type: shell, command: 'echo "{{ payload.n }}"; ls -A /var/lib/millwright /run/secrets 2>/dev/null | grep -v :'}
    - {type: mqtt, topic: devices/press/out, payload: "{{ output }}"}
- name: contained
  principal: engineer
  actions: [{type: container, image: tools, command: "id -u; grep CapEff /proc/self/status"}]
"""


def test_every_part_is_ready_and_every_service_healthy(composed: ComposeBox) -> None:
    parts = composed.ready()["parts"]
    assert parts.pop("rules")["message"].startswith("off")
    assert {name: part["message"] for name, part in parts.items() if name != "disk"} == dict.fromkeys(
        parts.keys() - {"disk"}, ""
    )
    assert set(composed.containers()) == SERVICES

    def healthy() -> bool:
        return all(
            state["State"]["Health"]["Status"] == "healthy" for state in composed.containers().values()
        )

    wait_for(healthy, 90, "every service is healthy")


def test_a_task_runs_from_an_mqtt_event_to_an_mqtt_message(composed: ComposeBox) -> None:
    """The command sees nothing of the box: what it lists would be in its answer."""
    apply_tasks(composed)
    url = (composed.folder / "secrets/mqtt_url").read_text().replace("@mqtt:", "@127.0.0.1:")
    script = Path(__file__).with_name("round_trip.py")
    assert composed.outside(str(script), url) == "5"


def test_a_step_runs_in_a_container_by_way_of_guard(composed: ComposeBox) -> None:
    apply_tasks(composed)
    with composed.engine.client() as client:
        image = import_image(client, busybox_image())
    composed.manage("images", "pin", "tools", image)
    assert "succeeded" in composed.manage("tasks", "run", "contained", "--wait", "90")
    run = json.loads(composed.manage("runs", "list", "--json"))[0]["id"]
    assert "0000000000000000" in composed.manage("runs", "show", run, "--json")


def test_no_process_has_a_capability_and_none_can_gain_one(composed: ComposeBox) -> None:
    for name, state in composed.containers().items():
        allowed = GUARD if name == "guard" else 0
        for pid in composed.processes(state["Id"]):
            status = status_of(pid)
            for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
                assert int(status[kind], 16) & ~allowed == 0, (name, kind)
            assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2"), name
            assert ("0" in status["Uid"].split()) == (name == "guard"), name


def test_the_engine_was_told_what_the_file_says(composed: ComposeBox) -> None:
    socket = composed.engine.url.removeprefix("unix://")
    for name, state in composed.containers().items():
        host = state["HostConfig"]
        assert (host["CapDrop"], host["Privileged"], host["ReadonlyRootfs"]) == (["ALL"], False, True), name
        assert bool(host["CapAdd"]) == (name == "guard")
        assert host["Memory"] > 0
        assert host["PidsLimit"] > 0
        assert (socket in [mount["Source"] for mount in state["Mounts"]]) == (name == "guard"), name
        assert host["PidMode"] == ("host" if name == "guard" else "")
        assert not [variable for variable in state["Config"]["Env"] if is_secret(variable, composed)], name


def test_only_who_must_has_a_way_out(composed: ComposeBox, tmp_path: Path) -> None:
    """Tried from each container's own network: the machine beyond, and the one that the engine runs on."""
    code = (
        "import socket, sys\n"
        "for address in sys.argv[1:]:\n"
        "    try: socket.create_connection((address, 80), 1); print(address)\n"
        "    except OSError: pass"
    )
    reached = {}
    with outside_world(composed.engine, tmp_path):
        for name, state in composed.containers().items():
            enter = ["nsenter", f"--net=/proc/{state['State']['Pid']}/ns/net", sys.executable, "-c", code]
            gateways = [
                net["Gateway"] for net in state["NetworkSettings"]["Networks"].values() if net["Gateway"]
            ]
            said = subprocess.run(
                [*enter, ADDRESS, "172.17.0.1", *gateways], capture_output=True, text=True, check=True
            )
            reached[name] = said.stdout.split()
    for name in ("beat", "database", "redis", "guard"):
        assert reached[name] == [], name
    for name in ("web", "worker", "reactor", "spawner", "mqtt"):
        assert ADDRESS in reached[name], name


def test_the_spawner_and_guard_see_a_stop(composed: ComposeBox) -> None:
    """They end what runs by themselves, also where the worker stands still."""
    made = "from appliance.accounts.models import User; User.objects.create_user('ana', role='engineer')"
    composed.manage("shell", "--no-imports", "-c", made)
    seen = "from appliance.lib.stop_file import *; print(read_word(path_in('/var/lib/millwright')))"
    for word in ("kill", "none"):
        if word == "kill":
            composed.manage("allstop", "engage", "--level", "kill", "--reason", "smoke")
        else:
            composed.manage("allstop", "release", "--as", "ana", "--reason", "all clear")
        for service in ("spawner", "guard", "worker"):
            assert composed.compose("exec", "-T", service, "python", "-c", seen).strip() == word, service


def test_the_database_role_is_no_superuser(composed: ComposeBox) -> None:
    code = (
        "from django.db import connection as c; k = c.cursor();"
        " k.execute('SELECT rolsuper, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = current_user');"
        " print(k.fetchone())"
    )
    assert "(False, False, False)" in composed.manage("shell", "--no-imports", "-c", code)


def apply_tasks(box: ComposeBox) -> None:
    write = "cat > /tmp/tasks.yaml && python manage.py tasks apply /tmp/tasks.yaml"
    box.compose("exec", "-T", "web", "sh", "-c", write, given=TASKS)


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: rest.strip() for name, _, rest in (line.partition(":") for line in lines)}


def is_secret(variable: str, box: ComposeBox) -> bool:
    words: list[str] = [file.read_text() for file in (box.folder / "secrets").glob("*_password")]
    return any(word in variable for word in words)
