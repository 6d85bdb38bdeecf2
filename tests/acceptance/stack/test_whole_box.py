"""The whole box under the real process manager: engines, spawner, worker, reactor, beat and web."""

import os
import signal
import ssl
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from appliance.processes import leftovers
from appliance.processes.programs import SERVICES
from tests.box import Box
from tests.wait import wait_for


def ready(box: Box) -> bool:
    try:
        return httpx.get(f"{box.url}/readyz", timeout=2, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def test_up_says_where_the_box_is_and_ctrl_c_ends_all_of_it(box: Box) -> None:
    box.start()
    wait_for(lambda: ready(box), 30, "the box is ready")
    assert f"Millwright is up: {box.url}" in box.said()
    assert f"{box.url}/setup/" in box.said()
    if os.geteuid() == 0:
        _no_service_keeps_powers_of_root(box)
    status = box.status()
    assert {part["state"] for part in status["parts"].values()} <= {"running", "starting"}
    assert set(SERVICES) < set(status["parts"])
    assert box.stop() == 0
    assert leftovers.running(box.config.home) == {}
    assert "Traceback" not in box.said()


@pytest.mark.slow
def test_a_service_that_is_killed_comes_back_and_the_others_stay(box: Box) -> None:
    box.start()
    for name in SERVICES:
        before = box.pids()
        _kill_and_wait(box, name, before[name])
        after = box.pids()
        assert {n: p for n, p in after.items() if n != name} == {n: p for n, p in before.items() if n != name}


def _kill_and_wait(box: Box, name: str, pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: box.pids().get(name, pid) != pid, 30, f"{name} is back")
    wait_for(lambda: ready(box), 30, f"the box is ready after {name} was killed")


@pytest.mark.slow
def test_after_kill_9_of_the_manager_the_whole_box_is_down_and_starts_again(box: Box) -> None:
    box.start()
    os.kill(int((box.config.home.runtime / "supervisord.pid").read_text()), signal.SIGKILL)
    assert box.process is not None
    assert box.process.wait(30) == 1
    assert "has ended unexpectedly" in box.said()
    wait_for(lambda: not leftovers.running(box.config.home), 30, "nothing of the box runs any more")
    box.start()
    wait_for(lambda: ready(box), 30, "the box is ready again")


@pytest.mark.slow
def test_open_to_the_lan_everything_speaks_tls(make_box: Callable[..., Box]) -> None:
    box = make_box()
    ports = box.config.home.http_port, box.config.home.mqtt_port
    box.settings = {
        "MILLWRIGHT_LISTEN": f"0.0.0.0:{ports[0]}",
        "MILLWRIGHT_MQTT_LISTEN": f"0.0.0.0:{ports[1]}",
    }
    box.start()
    assert "Millwright is up: https://" in box.said()
    certificate = str(box.config.tls_certificate)
    with httpx.Client(verify=_trusting(certificate), trust_env=False) as client:
        assert client.get(f"https://127.0.0.1:{ports[0]}/readyz").status_code == 200
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"http://127.0.0.1:{ports[0]}/readyz", timeout=5, trust_env=False)


def _trusting(certificate: str) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificate)


def _no_service_keeps_powers_of_root(box: Box) -> None:
    pids = box.pids()
    assert set(SERVICES) <= set(pids)
    for name, pid in pids.items():
        status = Path(f"/proc/{pid}/status").read_text()
        if name == "guard":
            continue  # where the machine has an engine: see test_guard_of_a_box.py
        if name == "spawner":
            assert _capabilities(status) == 0b11101011  # chown, dac_override, fowner, kill, setgid, setuid
            continue
        assert f"Uid:\t{box.config.home.service_uid}\t" in status, name
        assert _capabilities(status) == 0, name
        assert "NoNewPrivs:\t1" in status, name


def _capabilities(status: str) -> int:
    return int(status.partition("CapEff:\t")[2].split()[0], 16)
