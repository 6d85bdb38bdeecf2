"""Who may have jobs run by a spawner in a container, with processes of its own numbering."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.lib.config import ROOT

pytestmark = pytest.mark.skipif(
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
