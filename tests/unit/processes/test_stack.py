"""What the process manager is told."""

import configparser
import json
from pathlib import Path

import pytest

from appliance.lib.config import Config, Durability, KernelRulesMode, read_config
from appliance.processes import launch
from appliance.processes.engines import nats
from appliance.processes.forkserver import NAME as FORKSERVER
from appliance.processes.layout import lay_out
from appliance.processes.privilege import Privilege
from appliance.processes.programs import SERVICES, service_programs
from appliance.processes.stack import manager_environment, write_supervisor

SYS_ADMIN = 21


@pytest.fixture
def config(tmp_path: Path) -> Config:
    found = read_config({"MILLWRIGHT_HOME": str(tmp_path / "home"), "MILLWRIGHT_ENV_FILE": "/dev/null"})
    lay_out(found.home, Privilege(root=False))
    return found


def written(config: Config, privilege: Privilege) -> tuple[configparser.RawConfigParser, dict[str, str]]:
    programs = service_programs(config, privilege, (config.tls_certificate, config.tls_key))
    parser = configparser.RawConfigParser()
    parser.read(write_supervisor(config, programs))
    return parser, manager_environment(config, programs, "hunter2")


@pytest.mark.parametrize(
    ("chosen", "durable", "mode"),
    [
        ("yes", True, Durability.POWER_SAFE),
        ("no", True, Durability.CRASH_SAFE),
        ("yes", False, Durability.CRASH_SAFE),
    ],
)
def test_the_broker_syncs_as_the_operator_chose(
    config: Config, chosen: str, durable: bool, mode: Durability
) -> None:
    """``started_as`` reads what the running broker was told, whatever the settings say by now."""
    environment = {"MILLWRIGHT_HOME": str(config.home.path), "MILLWRIGHT_POWER_SAFE": chosen}
    nats.prepare(read_config(environment), Privilege(root=False), (Path(), Path()), durable=durable)
    written = (config.home.path / "nats/nats.conf").read_text()
    assert ('sync_interval: "always"' in written) is (mode is Durability.POWER_SAFE)
    assert nats.started_as(config) is mode


def test_no_command_line_and_no_file_holds_a_secret(config: Config) -> None:
    path = write_supervisor(config, service_programs(config, Privilege(root=False), (Path(), Path())))
    _, environment = written(config, Privilege(root=False))
    secrets = [config.home.secret(name) for name in ("database", "redis", "mqtt", "secret_key")] + ["hunter2"]
    commands = [" ".join(p["command"]) for p in json.loads(environment["MILLWRIGHT_PROGRAMS"]).values()]
    for secret in secrets:
        assert secret not in path.read_text()
        assert all(secret not in command for command in commands)


def test_services_start_in_order_and_stop_in_the_opposite_one(config: Config) -> None:
    parser, _ = written(config, Privilege(root=False))
    order = sorted(SERVICES, key=lambda name: parser.getint(f"program:{name}", "priority"))
    assert tuple(order) == SERVICES


def test_a_worker_has_time_to_drain_and_then_its_whole_group_is_ended(config: Config) -> None:
    parser, _ = written(config, Privilege(root=False))
    section = parser["program:worker"]
    assert (section["stopwaitsecs"], section["killasgroup"]) == ("20", "true")
    assert section["autorestart"] == "true"


def test_logs_are_rotated(config: Config) -> None:
    parser, _ = written(config, Privilege(root=False))
    for name in SERVICES:
        assert parser[f"program:{name}"]["stdout_logfile_maxbytes"] == "5MB"


def test_services_see_nothing_of_the_starters_environment_but_what_they_need(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter3")
    monkeypatch.setenv("PYTHONPATH", "/evil")
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    _, environment = written(config, Privilege(root=False))
    assert "hunter3" not in json.dumps(environment)
    programs = json.loads(environment["MILLWRIGHT_PROGRAMS"])
    for program in programs.values():
        assert program["environment"]["TZ"] == "Asia/Kathmandu"
        assert "PYTHONPATH" not in program["environment"]
    assert programs["web"]["environment"]["MILLWRIGHT_HOME"] == str(config.home.path)


def test_started_by_root_only_spawner_and_guard_keep_user_0_and_just_what_they_need(config: Config) -> None:
    uid = config.home.service_uid
    programs = {p.name: p for p in service_programs(config, Privilege(root=True, uid=uid), (Path(), Path()))}
    spawner, guard = programs.pop("spawner"), programs.pop("guard")
    assert {program.uid for program in programs.values()} == {uid}
    assert {program.keep for program in programs.values()} == {()}
    assert spawner.uid is None
    assert 0 < len(spawner.keep) <= 6
    assert guard.uid is None
    assert not set(guard.keep) & {launch.CAP_SETUID, launch.CAP_KILL, SYS_ADMIN}
    assert f"--uid {config.home.sandbox_uid}" in " ".join(spawner.command)
    assert f"--peer-uid {uid}" in " ".join(spawner.command)


def test_a_box_that_root_started_has_a_guard_unless_it_can_have_nothing_to_do(config: Config) -> None:
    def names(config: Config, privilege: Privilege) -> set[str]:
        return {program.name for program in service_programs(config, privilege, (Path(), Path()))}

    without_engine = config.model_copy(update={"container_engine": "unix:///nowhere/docker.sock"})
    off = without_engine.model_copy(update={"kernel_rules": KernelRulesMode.OFF})
    assert "guard" in names(without_engine, Privilege(root=True, uid=4711))
    assert "guard" not in names(off, Privilege(root=True, uid=4711))
    assert "guard" not in names(without_engine, Privilege(root=False))


def test_started_by_a_user_the_spawner_runs_jobs_as_that_user(config: Config) -> None:
    spawner = service_programs(config, Privilege(root=False), (Path(), Path()))[0]
    assert "--uid" not in spawner.command
    assert spawner.keep == ()


def test_only_what_is_as_the_fork_server_itself_is_forked(config: Config) -> None:
    """It cannot give a service another user, another environment, or a power that it does not have."""
    for privilege in (
        Privilege(root=False),
        Privilege(root=True, uid=4711),
        Privilege(root=True, in_place="x"),
    ):
        for port, others in ((8443, {"web"}), (443, set[str]())):
            at = config.model_copy(update={"http_listen": ("127.0.0.1", port)})
            programs = {p.name: p for p in service_programs(at, privilege, (Path(), Path()))}
            server = programs[FORKSERVER]
            forked = {name: p for name, p in programs.items() if p.forked}
            assert set(forked) == {"keeper", "worker", "reactor", "beat"} | others
            for program in forked.values():
                assert (program.uid, program.keep, program.in_namespace) == (server.uid, server.keep, False)
                assert program.environment == server.environment
                assert program.death_signal == server.death_signal
                assert len(program.name) <= len(FORKSERVER)
