"""What the compose files promise of each service, whoever edits them. They are tried in tests/acceptance/compose."""

import json
import re
from typing import Any

import pytest
import yaml

from appliance.lib.config import ROOT
from appliance.lib.variables import VARIABLES
from appliance.processes.models_keeper import STOPS_WITHIN
from appliance.sandbox.docker.seccomp import profile

FOLDER = ROOT / "compose"
Service = dict[str, Any]


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text())
    return found


BASE, CONTAINERS, MODELS = read("compose.yaml"), read("containers.yaml"), read("models.yaml")
SERVICES: dict[str, Service] = {**BASE["services"], "guard": CONTAINERS["services"]["guard"]}
OWN = {"migrate", "web", "worker", "beat", "reactor", "keeper", "spawner", "guard"}
ENGINES = {"database", "redis", "mqtt"}
every_service = pytest.mark.parametrize("name", sorted(SERVICES))


def test_all_parts_of_a_box_are_there() -> None:
    assert set(SERVICES) == OWN | ENGINES
    assert set(CONTAINERS["services"]) == {"guard", "worker"}


@pytest.mark.parametrize("runs", ["spawner", "guard"])
def test_a_worker_stops_before_what_runs_its_commands(runs: str) -> None:
    """They are stopped in the order in which they depend on each other."""
    added = CONTAINERS["services"]["worker"]
    assert set(added) == {"depends_on"}
    assert runs in {**SERVICES["worker"]["depends_on"], **added["depends_on"]}


@every_service
def test_it_has_no_capability_and_can_gain_none(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service.get("cap_add", []) == (["CHOWN", "DAC_OVERRIDE", "SYS_PTRACE"] if name == "guard" else [])
    assert "privileged" not in service
    assert "devices" not in service
    uid, _, gid = service["user"].partition(":")
    assert (int(uid) == int(gid) == 0) == (name == "guard")


@every_service
def test_it_writes_to_volumes_and_memory_only(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    for place in service.get("tmpfs", ()):
        options = place.partition(":")[2].split(",")
        assert {"nosuid", "nodev"} <= set(options)
        assert any(option.startswith("size=") for option in options)
        assert "noexec" in options or place.startswith("/var/tmp:"), (
            "commands of steps may run what they made"
        )
    for volume in service.get("volumes", ()):
        source, _, rest = volume.rpartition(":") if volume.endswith(":ro") else (volume, "", "")
        assert rest == "ro" or not source.startswith(("/", ".")), volume


@every_service
def test_it_is_bounded_and_comes_back(name: str) -> None:
    service = SERVICES[name]
    assert service["mem_limit"]
    assert service["pids_limit"] <= 1024
    assert service["logging"]["options"]["max-size"]
    assert service["restart"] == ("no" if name == "migrate" else "unless-stopped")
    assert ("healthcheck" in service) == (name != "migrate")


@every_service
def test_only_guard_reaches_the_engine_and_the_machine(name: str) -> None:
    service = SERVICES[name]
    mounted = any("docker.sock" in volume for volume in service.get("volumes", ()))
    assert mounted == (name == "guard")
    assert service.get("pid") == ("host" if name == "guard" else None)
    assert not service.keys() & {"ipc", "uts", "userns_mode", "volumes_from", "cgroup_parent"}
    assert service.get("network_mode") == ("none" if name == "guard" else None)


@pytest.mark.parametrize("name", sorted(OWN))
def test_our_own_have_the_tighter_list_of_system_calls(name: str) -> None:
    assert "seccomp:seccomp.json" in SERVICES[name]["security_opt"]


def test_that_list_is_the_one_of_containers() -> None:
    assert json.loads((FOLDER / "seccomp.json").read_text()) == json.loads(profile())


def test_database_and_hints_cannot_be_reached_from_outside() -> None:
    assert BASE["networks"]["inside"]["internal"] is True
    assert BASE["networks"]["inside"]["driver_opts"] == {"com.docker.network.bridge.inhibit_ipv4": "true"}
    inside_only = {name for name in BASE["services"] if SERVICES[name]["networks"] == ["inside"]}
    assert inside_only == {"database", "redis", "beat", "migrate"}
    published = {name for name in SERVICES if "ports" in SERVICES[name]}
    assert published == {"web", "mqtt"}
    for name in published:
        (port,) = SERVICES[name]["ports"]
        assert re.fullmatch(r"\$\{MILLWRIGHT_(HTTP|MQTT):-127\.0\.0\.1:\d+\}:\d+", port)


def test_jobs_share_a_container_with_no_secret_and_no_home() -> None:
    spawner = SERVICES["spawner"]
    assert spawner["secrets"] == []
    assert spawner["volumes"] == ["spawner:/run/spawner"]
    assert spawner["environment"].keys() == {"TZ"}


def test_whoever_looks_for_the_stop_file_has_the_volume_that_it_lies_in() -> None:
    """The home's is a link to there, in the image and, by ``migrate``, in homes of earlier images."""
    link = "ln -s /run/spawner/ALLSTOP /var/lib/millwright/ALLSTOP"
    assert link in (FOLDER / "Dockerfile").read_text()
    migrate = SERVICES["migrate"]
    assert "ln -sf /run/spawner/ALLSTOP" in migrate["entrypoint"][-1]
    assert migrate["command"] == ["/var/lib/millwright"]
    for name in OWN:
        mode = ":ro" if name == "guard" else ""
        assert f"spawner:/run/spawner{mode}" in SERVICES[name]["volumes"], name
    assert SERVICES["spawner"]["command"][-2:] == ["--home", "/var/lib/millwright"]


def test_passwords_come_by_file() -> None:
    assert all(secret["file"].startswith("./secrets/") for secret in BASE["secrets"].values())
    for name, service in SERVICES.items():
        for variable in service.get("environment", {}):
            hidden = re.search("PASSWORD|SECRET|_URL$", variable) and not variable.endswith("_FILE")
            assert not hidden or variable == "MILLWRIGHT_PUBLIC_URL" or name == "guard", (name, variable)


def test_every_setting_is_one_that_there_is() -> None:
    known = {variable.name for variable in VARIABLES}
    for name in OWN:
        for variable in SERVICES[name].get("environment", {}):
            assert variable.removesuffix("_FILE") in known or variable == "TZ", (name, variable)


def test_the_image_runs_as_nobody_and_holds_what_is_named() -> None:
    last = re.findall(r"^USER (.*)$", (FOLDER / "Dockerfile").read_text(), re.MULTILINE)
    assert last == ["10001:10001"]
    first, *allowed = [
        line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")
    ]
    assert first == "*"
    assert not {"!.", "!*", "!var", "!.env", "!compose", "!compose/secrets"} & set(allowed)


def test_whoever_asks_a_model_is_on_its_network_which_leads_nowhere() -> None:
    network = MODELS["networks"]["models"]
    assert network == {"name": "${COMPOSE_PROJECT_NAME:-millwright}-models", "internal": True}
    on_it = {name for name, service in MODELS["services"].items() if service.get("networks") == ["models"]}
    assert on_it == {"keeper", "web", "worker", "reactor"}
    assert MODELS["services"]["guard"]["environment"]["MILLWRIGHT_MODEL_NETWORK"] == network["name"]


def test_models_lie_at_the_same_path_for_whoever_mounts_or_reads_them() -> None:
    place = "/var/lib/millwright/models"
    mounted = {name for name, service in MODELS["services"].items() if "volumes" in service}
    assert mounted == {"guard", "keeper", "web"}
    for name in mounted:
        assert MODELS["services"][name]["volumes"] == [f"{place}:{place}"]


def test_the_keeper_stops_before_guard_and_has_time_to_end_its_engines() -> None:
    keeper = MODELS["services"]["keeper"]
    assert keeper["depends_on"] == {"guard": {"condition": "service_started"}}
    assert int(keeper["stop_grace_period"].removesuffix("s")) > STOPS_WITHIN


def test_models_add_no_power_and_only_settings_that_there_are() -> None:
    known = {variable.name for variable in VARIABLES}
    for service in MODELS["services"].values():
        assert set(service) <= {"volumes", "environment", "networks", "depends_on", "stop_grace_period"}
        assert set(service.get("environment", {})) <= known
