"""Who may have jobs run by a spawner in a container, with processes of its own numbering."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.lib.config import ROOT

NAMESPACES = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("unshare"), reason="a pid namespace needs root and unshare"
)

# Process 1 of its namespace, as a container's first process is. A child of it connects too, when it is told to.
_SPAWNER = """
import os, socket, sys
sys.path.insert(0, sys.argv[3])
from appliance.sandbox.process import peer
from appliance.sandbox.process.request import Refused
assert os.getpid() == 1
path, numbered = sys.argv[1], sys.argv[2] == "numbered"
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen()
if os.fork() == 0:
    with socket.socket(socket.AF_UNIX) as job:
        job.connect(path)
        job.recv(1)
    os._exit(0)
def hear():
    with listener.accept()[0] as connection:
        try:
            peer.check(connection, 1, peer_uid=None, jobs_share_user=True, jobs_have_numbers=numbered)
        except Refused as refusal:
            return refusal.message
        return "welcome"
print("job:", hear(), flush=True)
print("other:", hear(), flush=True)
"""


@NAMESPACES
@pytest.mark.parametrize(
    ("numbered", "expected"),
    [("numbered", "welcome"), ("unknown", "The process that asked lies in another pid namespace.")],
)
def test_a_job_is_refused_and_a_service_of_another_container_is_not(
    tmp_path: Path, numbered: str, expected: str
) -> None:
    door = tmp_path / "door"
    command = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", _SPAWNER]
    with subprocess.Popen(
        [*command, str(door), numbered, str(ROOT)], stdout=subprocess.PIPE, text=True
    ) as spawner:
        assert spawner.stdout
        assert spawner.stdout.readline() == "job: A job cannot have another job run.\n"
        with socket.socket(socket.AF_UNIX) as service:
            service.connect(str(door))
            assert spawner.stdout.readline() == f"other: {expected}\n"


# The spawner adopts orphans. A job's process connects through a parent that dies while the ancestors are looked at:
# in between two reads nothing can be done from outside, so the look itself is made to pause there.
_DYING = """
import os, signal, socket, sys
sys.path.insert(0, sys.argv[1])
from appliance.sandbox.process import kernel, peer, tree
from appliance.sandbox.process.request import Refused
kernel.adopt_orphans()
ours, theirs = socket.socketpair()
line, told = os.pipe()
middle = os.fork()
if middle == 0:
    if os.fork() == 0:
        os.write(told, str(os.getpid()).encode())
    signal.pause()
job = int(os.read(line, 20))
look, always = tree.parent_of, sys.argv[2] == "always"
def dies_before_it_is_looked_at(pid):
    global middle
    if pid == middle:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        middle = 0
    return None if always and pid == job else look(pid)
tree.parent_of = dies_before_it_is_looked_at
try:
    peer._refuse_descendants(job, os.getpid())
    print("welcome")
except Refused as refusal:
    print(refusal.message)
os.kill(job, signal.SIGKILL)
if middle:
    os.kill(middle, signal.SIGKILL)
"""


@pytest.mark.parametrize(
    ("gone", "expected"),
    [
        ("once", "A job cannot have another job run."),
        ("always", "The process that asked is gone, or cannot be seen from here."),
    ],
)
def test_an_ancestor_that_goes_away_meanwhile_lets_no_job_through(gone: str, expected: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _DYING, str(ROOT), gone],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout == f"{expected}\n", done.stderr
