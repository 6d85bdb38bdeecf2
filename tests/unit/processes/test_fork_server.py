"""The fork server and the process manager's end of it, with small services in place of the box's own."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from appliance.lib.config import ROOT
from appliance.processes.launch import start_time
from tests.wait import wait_for

# The manager becomes the parent of what is left behind below it, so it is a process of its own.
MANAGER = """
import json, os, signal, subprocess, sys, threading, time
from pathlib import Path
from appliance.processes.forkserver.orders import GO, LOADED, UP, Orders
from appliance.processes import launch

SERVER = '''
import os, socket, sys
from appliance.processes.forkserver.server import serve
serve(socket.socket(fileno=0), os.getppid())
exec(sys.stdin.read())
'''
orders, servers = Orders(Path(sys.argv[1])), []

def start(code=SERVER):
    with orders.open_door() as door:
        servers.append(subprocess.Popen([sys.executable, "-c", code, "forkserver"], stdin=door))
    while not orders._is_loaded() and servers[-1].poll() is None:
        time.sleep(0.01)
    return servers[-1].pid

def fork(service, name="worker"):
    "Its process, and where its output can be read."
    theirs, ours = os.pipe()
    heard, said = os.pipe()
    os.write(ours, service.encode())
    os.close(ours)
    pid = orders.fork(name, theirs, said, {server.pid for server in servers})
    os.close(said)
    return pid, os.fdopen(heard)

def tell(**facts):
    print(json.dumps(facts), flush=True)
"""


def manage(folder: Path, body: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", MANAGER + body, str(folder)],
        cwd=ROOT,
        env={**os.environ, "PIDS": str(folder)},
        stdout=subprocess.PIPE,
        text=True,
    )


def told(folder: Path, body: str) -> dict[str, Any]:
    """What the manager tells, which then has ended."""
    process = manage(folder, body)
    try:
        said, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0
    found: dict[str, Any] = json.loads(said)
    return found


def test_a_service_is_the_managers_own_child_with_nothing_of_the_fork_server_but_its_memory(
    tmp_path: Path,
) -> None:
    found = told(
        tmp_path,
        """
server = start()
pid, output = fork('''
import json, os, sys
facts = {"parent": os.getppid(), "group": os.getpgid(0), "open": sorted(map(int, os.listdir("/proc/self/fd")))[:-1],
         "shown": open("/proc/self/cmdline").read().rstrip(chr(0)).split(chr(0))[-1],
         "noted": open(os.path.join(os.environ["PIDS"], "worker")).read()}
print(json.dumps(facts), flush=True)
print("a complaint", file=sys.stderr)
sys.exit(7)
''')
facts, complaint = output.readline(), output.readline()
_, status = os.waitpid(pid, 0)
tell(pid=pid, me=os.getpid(), service=json.loads(facts), complaint=complaint, status=os.waitstatus_to_exitcode(status))
""",
    )
    service = found["service"]
    assert service["parent"] == found["me"]
    assert service["group"] == found["pid"]
    assert service["open"] == [0, 1, 2]
    assert service["shown"] == "worker"
    assert service["noted"].startswith(f"{found['pid']} ")
    assert (found["complaint"], found["status"]) == ("a complaint\n", 7)


def test_services_outlive_their_fork_server_and_the_next_one_forks_again(tmp_path: Path) -> None:
    found = told(
        tmp_path,
        """
server = start()
living, output = fork("import time; print('on', flush=True); time.sleep(60)")
output.readline()
os.kill(server, signal.SIGKILL)
servers[-1].wait()
without, _ = fork("")
start()
again, output = fork("print('on', flush=True)")
on = output.readline()
os.kill(living, 0)
parents = [launch.parent_of(pid) == os.getpid() for pid in (living, again)]
os.kill(living, signal.SIGTERM)
_, status = os.waitpid(living, 0)
tell(without=without, on=on, parents=parents, status=os.waitstatus_to_exitcode(status))
""",
    )
    assert found == {"without": None, "on": "on\n", "parents": [True, True], "status": -signal.SIGTERM}


def test_what_the_manager_gave_up_waiting_for_never_begins(tmp_path: Path) -> None:
    found = told(
        tmp_path,
        """
from appliance.processes.forkserver import orders as module
module.ANSWER_SECONDS = 0.2
server = start()
os.kill(server, signal.SIGSTOP)
late, output = fork("print('I run', flush=True)")
os.kill(server, signal.SIGCONT)
servers[-1].wait()
tell(late=late, said=output.read(), noted=os.listdir(sys.argv[1]))
""",
    )
    assert found == {"late": None, "said": "", "noted": []}


def test_a_service_that_cannot_be_noted_never_begins(tmp_path: Path) -> None:
    found = told(
        tmp_path / "gone",
        """
start()
theirs, ours = os.pipe()
heard, said = os.pipe()
os.write(ours, b"print('I run', flush=True)")
os.close(ours)
try:
    orders.fork("worker", theirs, said, ())
except FileNotFoundError:
    os.close(said)
    tell(said=os.fdopen(heard).read())
""",
    )
    assert found == {"said": ""}


@pytest.mark.parametrize("a_child", [False, True], ids=["itself", "a child of its own"])
def test_a_fork_server_cannot_pass_off_another_process_for_the_service(tmp_path: Path, a_child: bool) -> None:
    found = told(
        tmp_path,
        f"""
start('''
import os, socket, sys, time
from appliance.processes.forkserver.orders import LOADED, UP
door = socket.socket(fileno=0)
door.send(LOADED)
_, found, _, _ = socket.recv_fds(door, 99, 3)
gate = socket.socket(fileno=found[2])
if {a_child} and os.fork():
    os.wait()
else:
    gate.send(UP)
    gate.recv(9)
''')
pid, _ = fork("")
tell(pid=pid, noted=os.listdir(sys.argv[1]))
""",
    )
    assert found == {"pid": None, "noted": []}


def test_nothing_is_forked_beside_a_thread(tmp_path: Path) -> None:
    found = told(
        tmp_path,
        """
start("import threading, time; threading.Thread(target=time.sleep, args=(9,), daemon=True).start()" + SERVER)
pid, _ = fork("")
tell(pid=pid, status=servers[-1].wait())
""",
    )
    assert found == {"pid": None, "status": 1}


def test_when_the_manager_is_killed_its_services_die_and_the_fork_server_ends(tmp_path: Path) -> None:
    process = manage(
        tmp_path,
        """
server = start()
pid, output = fork("import time; print('on', flush=True); time.sleep(60)")
output.readline()
tell(pids=[server, pid])
time.sleep(60)
""",
    )
    assert process.stdout is not None
    pids = json.loads(process.stdout.readline())["pids"]
    started = {pid: start_time(pid) for pid in pids}
    assert all(started.values())
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    wait_for(
        lambda: all(start_time(pid) != started[pid] for pid in pids), what="both have died with the manager"
    )
