"""The embedded engines under the real process manager: start, crash, kill -9, stop, side by side."""

import contextlib
import os
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
import redis

from appliance.processes import leftovers
from tests.box import Box
from tests.wait import wait_for

ENGINES = {"postgres", "redis", "nats"}


def works(box: Box) -> bool:
    """Whether all three engines answer their real clients."""
    try:
        with psycopg.connect(box.config.database_url, connect_timeout=2) as connection:
            connection.execute("SELECT 1")
        with redis.Redis.from_url(box.config.redis_url) as client:
            client.ping()
        socket.create_connection(box.config.mqtt_listen, timeout=2).close()
    except (psycopg.Error, redis.RedisError, OSError):
        return False
    return True


@pytest.mark.parametrize(
    "name", ["a home %(x)s ; # with 'all' that hurts", pytest.param("home", marks=pytest.mark.slow)]
)
def test_it_starts_works_and_stops_whatever_the_home_is_called(
    make_box: Callable[..., Box], name: str
) -> None:
    box = make_box(name)
    box.start("--engines-only")
    assert works(box)
    status = box.status()
    assert {
        name for name, part in status["parts"].items() if part["state"] in ("running", "starting")
    } == ENGINES
    assert box.stop() == 0
    assert leftovers.running(box.config.home) == {}
    assert not box.status()["running"]
    assert box.manage("status").returncode == 1


@pytest.mark.slow
def test_a_second_start_keeps_the_data(box: Box) -> None:
    box.start("--engines-only")
    with psycopg.connect(box.config.database_url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    box.stop(signal.SIGTERM)
    box.start("--engines-only")
    with psycopg.connect(box.config.database_url) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(ENGINES))
def test_an_engine_that_is_killed_comes_back(box: Box, name: str) -> None:
    box.start("--engines-only")
    old = box.pids()[name]
    os.kill(old, signal.SIGKILL)
    wait_for(lambda: box.pids().get(name, old) != old and works(box), 30, f"{name} is back")


@pytest.mark.parametrize("victim", ["manager", pytest.param("up", marks=pytest.mark.slow)])
def test_after_kill_9_everything_dies_and_the_next_start_clears_up(box: Box, victim: str) -> None:
    box.start("--engines-only")
    assert box.process is not None
    manager = int((box.config.home.runtime / "supervisord.pid").read_text())
    os.kill(manager if victim == "manager" else box.process.pid, signal.SIGKILL)
    assert box.process.wait(30) != 0
    wait_for(lambda: not leftovers.running(box.config.home), 30, "nothing of the box runs any more")
    box.start("--engines-only")
    assert works(box)


@pytest.mark.slow
def test_what_did_not_die_is_ended_by_the_next_start(box: Box) -> None:
    """A process of the box that survived its manager, whatever it is: its mark gives it away."""
    home = box.config.home
    orphan = subprocess.Popen(["/bin/sleep", "300"], env={"MILLWRIGHT_BOX": home.id})
    stranger = subprocess.Popen(["/bin/sleep", "300"], env={"MILLWRIGHT_BOX": "another"})
    try:
        box.start("--engines-only")
        assert orphan.wait(5) == -signal.SIGTERM
        assert stranger.poll() is None
        assert "Cleared what an earlier start had left: sleep." in box.said()
    finally:
        for process in (orphan, stranger):
            process.kill()
            process.wait()


def test_stale_files_of_a_power_cut_do_not_hinder_the_start(box: Box) -> None:
    box.start("--engines-only")
    home = box.config.home
    box.stop()
    # The pid in it is alive, and belongs to somebody else by now.
    (home.data / "postgres" / "postmaster.pid").write_text(f"{os.getpid()}\n{home.data}/postgres\n")
    for name in ("redis.sock", "supervisor.sock", ".s.PGSQL.5432", "supervisord.pid"):
        assert not (home.runtime / name).exists(), "an orderly stop leaves no socket"
        (home.runtime / name).write_text(str(os.getpid()))
    box.start("--engines-only")
    assert works(box)


def test_a_second_instance_on_one_home_is_refused(running_box: Box, tmp_path: Path) -> None:
    box, second = running_box, Box(running_box.home, tmp_path / "second.out")
    assert second.launch("--engines-only").wait(60) == 1
    assert f"the box of {box.home} is running already" in second.said()
    assert "Traceback" not in second.said()
    assert works(box)


def test_two_homes_live_side_by_side_and_stopping_one_leaves_the_other(make_box: Callable[..., Box]) -> None:
    first, second = make_box("first"), make_box("second")
    first.start("--engines-only")
    second.start("--engines-only")
    before = second.pids()
    assert set(first.pids().values()).isdisjoint(before.values())
    assert first.manage("down").returncode == 0
    assert leftovers.running(first.config.home) == {}
    assert works(second)
    assert second.pids() == before


def test_a_taken_port_is_told_with_the_free_one(make_box: Callable[..., Box]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        box = make_box(MILLWRIGHT_MQTT_LISTEN=f"127.0.0.1:{port}")
        assert box.launch("--engines-only").wait(60) == 1
    assert f"port {port} on 127.0.0.1, which the MQTT broker would use, is taken" in box.said()
    assert "set MILLWRIGHT_MQTT_LISTEN=127.0.0.1:" in box.said()
    assert "Traceback" not in box.said()


def test_nobody_gets_in_without_a_password(running_box: Box) -> None:
    box = running_box
    home = box.config.home
    for user in ("postgres", "millwright"):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(host=str(home.runtime), user=user, dbname="millwright", passfile="/dev/null")
    with (
        redis.Redis(unix_socket_path=str(home.runtime / "redis.sock")) as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()
    with psycopg.connect(box.config.database_url) as connection:
        row = connection.execute(
            "SELECT rolsuper, rolcreatedb FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
    assert row == (False, False)


def test_nothing_listens_beyond_loopback_and_sockets_are_private(running_box: Box) -> None:
    box = running_box
    home = box.config.home
    pids = set(leftovers.running(home))
    assert listeners(pids) <= {"127.0.0.1", "::1"}
    assert not stat.S_IMODE(home.runtime.stat().st_mode) & stat.S_IRWXO
    # Others may pass through to the models, by name; they see and change nothing.
    assert not stat.S_IMODE(home.path.stat().st_mode) & (stat.S_IROTH | stat.S_IWOTH)
    for secret in home.secrets.iterdir():
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600


def test_a_process_that_ended_meanwhile_has_no_listeners() -> None:
    with socket.create_server(("127.0.0.1", 0)), subprocess.Popen(["/bin/true"]) as ended:
        ended.wait()
        assert listeners({ended.pid, os.getpid()}) == {"127.0.0.1"}


def test_no_secret_is_on_a_command_line(running_box: Box) -> None:
    box = running_box
    home = box.config.home
    secrets = [home.secret(entry.name).encode() for entry in home.secrets.iterdir()]
    for pid in leftovers.running(home):
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        assert not any(secret in command for secret in secrets)


@pytest.mark.skipif(os.geteuid() != 0, reason="about a box that root started")
def test_started_by_root_no_engine_keeps_user_0(running_box: Box) -> None:
    box = running_box
    for name, pid in box.pids().items():
        status = Path(f"/proc/{pid}/status").read_text()
        assert f"Uid:\t{box.config.home.service_uid}\t" in status, name
        assert "CapEff:\t0000000000000000" in status
        assert "NoNewPrivs:\t1" in status


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="about a box that root started")
def test_where_users_cannot_change_root_gives_up_its_powers_and_says_so(make_box: Callable[..., Box]) -> None:
    box = make_box("closed/home")
    (box.home.parent).mkdir(mode=0o700)
    box.start("--engines-only")
    assert works(box)
    assert "the services stay user 0, without any of root's powers" in box.said()
    for pid in box.pids().values():
        status = Path(f"/proc/{pid}/status").read_text()
        assert "CapEff:\t0000000000000000" in status


@pytest.mark.slow
def test_detached_it_stays_up_until_it_is_told_to_stop(box: Box) -> None:
    started = box.manage("up", "--engines-only", "--detach")
    try:
        assert started.returncode == 0, started.stderr
        assert "The engines are up." in started.stdout
        assert works(box)
    finally:
        stopped = box.manage("down")
    assert stopped.returncode == 0
    assert stopped.stdout.strip() == "Stopped."
    assert leftovers.running(box.config.home) == {}


@pytest.mark.slow
def test_a_detached_start_that_fails_says_why(box: Box, make_box: Callable[..., Box]) -> None:
    box.start("--engines-only")
    done = make_box().manage("up", "--detach")
    assert done.returncode == 1
    assert "is running already" in done.stderr


def test_stopping_a_box_that_does_not_run_is_no_error(box: Box) -> None:
    done = box.manage("down")
    assert (done.returncode, done.stdout.strip()) == (0, "The box was not running.")


@pytest.mark.slow
def test_ctrl_c_during_the_start_leaves_nothing_behind(box: Box) -> None:
    process = box.launch("--engines-only")
    home = box.config.home
    wait_for(lambda: leftovers.running(home) or process.poll() is not None, 60, "it has begun to start")
    process.send_signal(signal.SIGINT)
    process.wait(60)
    deadline = time.monotonic() + 30
    wait_for(lambda: not leftovers.running(home), deadline - time.monotonic(), "nothing runs")


def listeners(pids: set[int]) -> set[str]:
    """Addresses of the TCP listeners of these processes; one that ends meanwhile listens no more."""
    inodes = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            for entry in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    target = str(entry.readlink())
                    if target.startswith("socket:["):
                        inodes.add(target[8:-1])
    found = set()
    for table, family, width in (("tcp", socket.AF_INET, 4), ("tcp6", socket.AF_INET6, 16)):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                raw = bytes.fromhex(fields[1].partition(":")[0])
                words = [raw[i : i + 4][::-1] for i in range(0, width, 4)]
                found.add(socket.inet_ntop(family, b"".join(words)))
    return found
