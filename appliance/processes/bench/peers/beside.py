"""The peers one after another: the box's loads on each, and what the box's figures are beside theirs."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from appliance.processes.bench.events import answer_seconds, latency_rows, run_load
from appliance.processes.bench.load import Report
from appliance.processes.bench.peers.broker import PrivateBroker
from appliance.processes.bench.peers.celery import Celery
from appliance.processes.bench.peers.contract import Peer, PeerMissing
from appliance.processes.bench.peers.dbos import Dbos
from appliance.processes.bench.peers.node_red import NodeRed
from appliance.processes.bench.peers.paho import Paho
from appliance.processes.bench.quiet import Conditions, Watch
from appliance.processes.bench.ramp import highest, holds
from appliance.processes.bench.rows import Row

PEERS: dict[str, type[Peer]] = {peer.name: peer for peer in (Paho, Celery, Dbos, NodeRed)}
LOADS = {"": 200.0, "_1000": 1000.0}
"""What stands between a peer's name and the figure, and events a second."""
SECONDS, RAMP_SECONDS = 20.0, 8.0


def measure_peer(name: str, cache: Path, say: Callable[[str], None]) -> tuple[list[Row], Conditions | None]:
    """All rows of one peer; where it cannot be had here, one row that says so."""
    with tempfile.TemporaryDirectory(prefix="mw-peer-", ignore_cleanup_errors=True) as place:
        folder = Path(place)
        broker = PrivateBroker(folder)
        peer = PEERS[name](broker, cache, folder)
        try:
            say(f"{name}: installing {', '.join(peer.packages)} into {cache} …")
            peer.install()
        except PeerMissing as error:
            return [_missing(name, f"not installed: {error}")], None
        try:
            with broker, Watch(peer.lateness) as watch, peer:
                rows = _rows(peer)
        except (PeerMissing, RuntimeError) as error:
            said = peer.log.read_text(errors="replace")[-300:] if peer.log.exists() else ""
            return [_missing(name, f"it did not run: {error} {said}".strip())], None
        return rows, watch.conditions


def _missing(name: str, why: str) -> Row:
    return Row(f"peer_{name}_p50_ms", None, "ms", "lower", note=" ".join(why.split()))


def _rows(peer: Peer) -> list[Row]:
    answer_seconds(peer, "in")
    rows: list[Row] = []
    for suffix, rate in LOADS.items():
        _load(peer, rate, 3, 10_000_000)
        report = _load(peer, rate, SECONDS, 0)
        rows += latency_rows(report, f"peer_{peer.name}{suffix}") if report.latencies else []
        if not holds(report):
            _afresh(peer)
    best = highest(lambda rate, first: _load(peer, rate, RAMP_SECONDS, first), lambda: _afresh(peer))
    return [*rows, Row(f"peer_{peer.name}_sustained_eps", best, "events/s", "higher")]


def _load(peer: Peer, rate: float, seconds: float, first: int) -> Report:
    return run_load(peer, "in", rate, seconds, first=first)


def _afresh(peer: Peer) -> None:
    """What has piled up would be measured with the next load."""
    peer.restart()
    answer_seconds(peer, "in")


def ratio_rows(own: Sequence[Row], peers: Mapping[str, Sequence[Row]]) -> list[Row]:
    """The box's figure divided by the peer's, both of this run; only where both are there."""
    figures = {row.name: row for row in own}
    rows = []
    for name, theirs in peers.items():
        for row in theirs:
            figure = row.name.removeprefix(f"peer_{name}_")
            mine = figures.get(f"reflex_{figure}")
            if mine is None or mine.value is None or not row.value or row.unit == "events":
                continue
            ratio = f"reflex_vs_{name}_{figure.rpartition('_')[0]}_ratio"
            busy = mine.busy or row.busy
            rows.append(Row(ratio, round(mine.value / row.value, 3), "x", row.better, busy=busy))
    return rows
