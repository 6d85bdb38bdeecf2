"""What is measured beside the box is pinned, ends with all its children, and is compared fairly."""

import os
import re
import sys
from pathlib import Path

import pytest

from appliance.processes.bench.peers import versions
from appliance.processes.bench.peers.beside import PEERS, ratio_rows
from appliance.processes.bench.peers.broker import PrivateBroker
from appliance.processes.bench.peers.contract import PROGRAMS, Peer, PeerMissing
from appliance.processes.bench.peers.installing import major, node_program, python_with
from appliance.processes.bench.rows import Row
from tests.wait import wait_for


class Idle(Peer):
    """A parent with a child, which ends for no signal that can be refused."""

    name = "idle"
    packages = ()
    program = (
        "import os, pathlib, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = os.fork()\n"
        "if child: pathlib.Path('pids').write_text(f'{os.getpid()} {child}')\n"
        "time.sleep(600)\n"
    )

    def install(self) -> None:
        pass

    def launch(self) -> None:
        self.spawn([sys.executable, "-c", self.program])


def is_there(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def test_a_peer_ends_with_all_its_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.processes.bench.peers.contract.STOP_SECONDS", 0.2)
    with Idle(PrivateBroker(tmp_path), tmp_path, tmp_path):
        pids = [int(pid) for pid in wait_for(lambda: read(tmp_path / "pids")).split()]
        assert [is_there(pid) for pid in pids] == [True, True]
    wait_for(lambda: not any(is_there(pid) for pid in pids), what="both are gone")


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def test_every_package_is_pinned() -> None:
    named = [package for peer in PEERS.values() for package in peer.packages]
    assert named
    assert all(re.fullmatch(r"[a-z-]+(\[binary\])?(==|@)[0-9]+(\.[0-9]+)+", package) for package in named)


@pytest.mark.parametrize("template", sorted(PROGRAMS.glob("*.py.template")), ids=lambda path: path.name)
def test_a_program_can_be_read_once_its_values_are_in(template: Path, tmp_path: Path) -> None:
    peer = Idle(PrivateBroker(tmp_path), tmp_path, tmp_path)
    written = peer.write(
        template.name, "program.py", SOCKET="/tmp/s", DATABASE="postgresql://x", SCHEMA="dbos_1"
    )
    compile(written.read_text(), str(written), "exec")
    assert str(peer.broker[1]) in written.read_text()


@pytest.mark.parametrize(
    ("said", "number"), [("v20.20.2\n", 20), ("v18.0.0", 18), ("", 0), ("command not found", 0)]
)
def test_the_version_of_node_is_read(said: str, number: int) -> None:
    assert major(said) == number


def test_without_node_the_peer_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PeerMissing, match="no node with npm"):
        node_program(tmp_path, versions.NODE_RED, versions.NODE_MAJOR)


def test_a_node_that_is_too_old_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("node", "npm"):
        program = tmp_path / name
        program.write_text("#!/bin/sh\necho v16.20.0\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(PeerMissing, match=r"v16\.20\.0 is older than 18"):
        node_program(tmp_path, versions.NODE_RED, versions.NODE_MAJOR)


@pytest.mark.slow  # two whole environments
def test_an_installation_that_failed_is_not_taken_for_one(tmp_path: Path) -> None:
    missing = str(tmp_path / "no-such-package-1.0.tar.gz")
    for _ in range(2):
        with pytest.raises(PeerMissing, match="no-such-package"):
            python_with(tmp_path / "cache", "x", [missing])


def test_a_ratio_is_the_box_s_figure_by_the_peer_s_and_busy_when_either_was() -> None:
    own = [
        Row("reflex_p50_ms", 1.0, "ms", "lower", 2),
        Row("reflex_lost", 0, "events", "lower", 0),
        Row("reflex_sustained_eps", 5000, "events/s", "higher"),
    ]
    theirs = [
        Row("peer_x_p50_ms", 4.0, "ms", "lower", busy=True),
        Row("peer_x_p99_ms", 9.0, "ms", "lower"),
        Row("peer_x_lost", 3, "events", "lower"),
        Row("peer_x_sustained_eps", 0, "events/s", "higher"),
    ]
    absent = [Row("peer_y_p50_ms", None, "ms", "lower", note="not installed")]
    assert ratio_rows(own, {"x": theirs, "y": absent}) == [
        Row("reflex_vs_x_p50_ratio", 0.25, "x", "lower", busy=True)
    ]
