"""What guard is asked about models, and what of it the container engine is told."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from appliance.lib.environment import ConfigInvalid
from appliance.lib.model_images import ModelImage, model_images
from appliance.sandbox.docker.blueprint import Device, Image
from appliance.sandbox.docker.engine import Engine
from appliance.sandbox.docker.model_blueprint import ModelBlueprint, creation
from appliance.sandbox.docker.model_cache import open_cache
from appliance.sandbox.docker.model_containers import ModelContainers
from appliance.sandbox.docker.model_request import ModelStart
from appliance.sandbox.docker.mounts import close
from appliance.sandbox.docker.request import parse_request
from appliance.sandbox.process.request import Refused

DIGEST = f"sha256:{'a' * 64}"
IMAGE = f"nvcr.io/nvidia/tensorrt-llm/release@{DIGEST}"
GOOD: dict[str, Any] = {
    "verb": "model_start",
    "model": "qwen3-8b",
    "generation": 7,
    "plan": "b" * 64,
    "image": IMAGE,
    "argv": ["trtllm-serve", "/models/qwen3-8b"],
    "env": {"HF_HUB_OFFLINE": "1"},
    "folder": "/srv/home/models/qwen3-8b/1",
    "files": {"engine.yaml": "max_batch_size: 4\n"},
    "port": 8000,
    "memory": 1 << 30,
    "shared_memory": 1 << 30,
    "device": {"cdi": "nvidia.com/gpu=GPU-1", "nvidia": "GPU-1", "nodes": []},
}


def request(**values: object) -> ModelStart:
    found = parse_request(json.dumps(GOOD | values).encode())
    assert isinstance(found, ModelStart)
    return found


@pytest.mark.parametrize(
    "wrong",
    [
        {"image": "nvcr.io/nvidia/tensorrt-llm/release:1.2.1"},
        {"env": {"LD_PRELOAD": "/models/x/evil.so"}},
        {"env": {"NVIDIA_VISIBLE_DEVICES": "all"}},
        {"folder": "/srv/home/models/../secrets"},
        {"model": "../x"},
        {"generation": 0},
        {"files": {"../x": ""}},
        {"device": {"nodes": ["/dev/sda"]}},
        {"device": {"cdi": "all"}},
        {"privileged": True},
        {"argv": []},
        {"plan": ""},
    ],
    ids=str,
)
def test_what_is_not_in_the_request_does_not_get_through(wrong: dict[str, object]) -> None:
    with pytest.raises(Refused, match="not taken"):
        request(**wrong)


@pytest.mark.parametrize("name", ["millwright-x", "mw-home-tiny-g0", "mw-home-tiny", "mw-home-../x-g1"])
def test_a_container_is_called_by_the_name_of_a_model_or_not_at_all(name: str) -> None:
    with pytest.raises(Refused, match="not taken"):
        parse_request(json.dumps({"verb": "model_stop", "name": name, "grace": 1}).encode())


def blueprint(
    *flags: str, cdi: bool = True, devices: tuple[Device, ...] = (), **values: object
) -> ModelBlueprint:
    settings = ModelImage("trtllm", "1.2.1", IMAGE, frozenset(flags))
    image = Image("sha256:0", ("/data",))
    asked = request(**values)
    return ModelBlueprint(
        asked,
        "s",
        "mw-home-qwen3-8b-g7",
        "home",
        image,
        settings,
        "/real",
        "/kept",
        "net",
        61001,
        61001,
        cdi,
        devices,
    )


def host_of(made: ModelBlueprint) -> dict[str, Any]:
    found = creation(made)["HostConfig"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("flags", [(), ("root",), ("writable",), ("seccomp-default",)])
def test_no_flag_of_an_image_gives_a_way_out(flags: tuple[str, ...]) -> None:
    made = blueprint(*flags)
    host = host_of(made)
    assert host["Privileged"] is False
    assert (host["CapDrop"], host["CapAdd"]) == (["ALL"], [])
    assert "no-new-privileges:true" in host["SecurityOpt"]
    assert (host["NetworkMode"], host["PortBindings"], host["PublishAllPorts"]) == ("net", {}, False)
    assert (host["PidMode"], host["UTSMode"], host["UsernsMode"], host["IpcMode"]) == ("", "", "", "private")
    assert host["RestartPolicy"] == {"Name": "no"}
    assert host["ReadonlyRootfs"] is ("writable" not in flags)
    assert any("seccomp=" in one for one in host["SecurityOpt"]) is ("seccomp-default" not in flags)
    assert creation(made)["User"] == ("0:0" if "root" in flags else "61001:61001")
    assert creation(made)["Healthcheck"] == {"Test": ["NONE"]}
    assert "Binds" not in host
    assert host["Memory"] == host["MemorySwap"] == 1 << 30
    assert host["LogConfig"]["Config"] == {"max-size": "20m", "max-file": "3"}


def test_the_model_is_read_only_and_lies_where_its_name_is_the_folders() -> None:
    model, cache, work = host_of(blueprint())["Mounts"]
    assert (model["Source"], model["Target"], model["ReadOnly"]) == ("/real", "/models/qwen3-8b", True)
    assert (cache["Source"], cache["Target"], cache["ReadOnly"]) == ("/kept", "/cache", False)
    assert "Source" not in work  # a volume of its own, which goes with the container


def test_a_device_is_named_as_the_engine_knows_it() -> None:
    assert host_of(blueprint())["DeviceRequests"] == [
        {"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=GPU-1"]}
    ]
    assert host_of(blueprint(cdi=False))["DeviceRequests"] == [
        {"Driver": "nvidia", "DeviceIDs": ["GPU-1"], "Capabilities": [["gpu"]]}
    ]
    host = host_of(
        blueprint(device=None, devices=(Device("/dev/kfd", 104), Device("/dev/dri/renderD128", 105)))
    )
    assert host["DeviceRequests"] == []
    assert [one["PathOnHost"] for one in host["Devices"]] == ["/dev/kfd", "/dev/dri/renderD128"]
    assert host["GroupAdd"] == ["104", "105"]


def test_memory_is_locked_for_devices_alone() -> None:
    def locked(device: object) -> int:
        limits = host_of(blueprint(device=device))["Ulimits"]
        return next(int(one["Soft"]) for one in limits if one["Name"] == "memlock")

    assert locked(GOOD["device"]) == -1
    assert locked(None) == locked({"cdi": "", "nvidia": "", "nodes": []}) == 64 << 10


@pytest.fixture
def containers(tmp_path: Path) -> ModelContainers:
    images = (ModelImage("trtllm", "1.2.1", IMAGE),)
    engine = Engine(f"unix://{tmp_path}/none.sock", "home")
    (tmp_path / "models/qwen3-8b/1").mkdir(parents=True)
    return ModelContainers(
        engine, "home", tmp_path / "models", tmp_path / "cache", images, os.getuid(), os.getgid()
    )


async def test_only_images_of_the_settings_run_and_only_their_own_program(
    containers: ModelContainers,
) -> None:
    with pytest.raises(Refused, match="none that the box's settings name") as other:
        await containers.answer(request(image=f"sha256:{'b' * 64}"))
    assert "MILLWRIGHT_MODEL_IMAGES" in (other.value.hint or "")
    with pytest.raises(Refused, match="runs `trtllm-serve`, and nothing else"):
        await containers.answer(request(argv=["/bin/sh", "-c", "id"]))


def test_a_folder_that_leads_out_of_the_models_is_not_mounted(
    containers: ModelContainers, tmp_path: Path
) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "models/linked").symlink_to(tmp_path / "secrets")
    for folder in (tmp_path / "models/linked", tmp_path / "secrets", tmp_path / "models", tmp_path / "none"):
        with pytest.raises(Refused, match=r"below|cannot be mounted"):
            containers._open(request(folder=str(folder)))
    mount = containers._open(request(folder=str(tmp_path / "models/qwen3-8b/1")))
    assert (mount.path, mount.writable) == ("/models/qwen3-8b", False)
    os.close(mount.fd)


async def test_the_containers_of_other_homes_are_not_touched(containers: ModelContainers) -> None:
    stop = parse_request(json.dumps({"verb": "model_stop", "name": "mw-other-tiny-g1", "grace": 1}).encode())
    with pytest.raises(Refused, match="of this box"):
        await containers.answer(stop)  # type: ignore[arg-type]


def test_images_are_read_with_version_and_flags() -> None:
    found = model_images((f"trtllm=1.3.0rc20@{IMAGE}", f"vllm=0.11.0+root+rocm@sha256:{'b' * 64}"))
    assert found[0] == ModelImage("trtllm", "1.3.0rc20", IMAGE)
    assert (found[1].engine, found[1].flags) == ("vllm", frozenset({"root", "rocm"}))


@pytest.mark.parametrize(
    "wrong",
    ["trtllm=1.2.1@release:1.2.1", f"ollama=1@{DIGEST}", f"trtllm=1+privileged@{DIGEST}", f"trtllm@{DIGEST}"],
)
def test_an_image_that_is_not_named_as_it_should_be_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigInvalid, match="engine=version@image"):
        model_images((wrong,))


def test_a_cache_is_a_folder_for_each_image_that_nobody_else_can_exchange(tmp_path: Path) -> None:
    root = tmp_path / "deep/cache"
    mount = open_cache(root, "a" * 16, "/cache")
    assert (mount.source, mount.path, mount.writable) == (f"{root}/engines/{'a' * 16}", "/cache", True)
    assert [one.stat().st_mode & 0o777 for one in (root, root / "engines", Path(mount.source))] == [0o755] * 3
    close([mount, open_cache(root, "a" * 16, "/cache")])
    (root / "engines" / ("b" * 16)).symlink_to(tmp_path)
    with pytest.raises(Refused, match="cannot be used"):
        open_cache(root, "b" * 16, "/cache")
    (tmp_path / "file").write_text("")
    with pytest.raises(Refused, match="cannot be used"):
        open_cache(tmp_path / "file", "a" * 16, "/cache")
    if os.geteuid() == 0:
        os.chown(root / "engines", 12345, -1)
        with pytest.raises(Refused, match="belongs to somebody else"):
            open_cache(root, "a" * 16, "/cache")


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o2750])
def test_a_folder_of_a_persons_own_keeps_its_mode_as_the_cache(tmp_path: Path, mode: int) -> None:
    (tmp_path / "engines").mkdir()
    for folder in (tmp_path, tmp_path / "engines"):
        folder.chmod(mode)
    before = os.umask(0o077)
    try:
        mount = open_cache(tmp_path, "a" * 16, "/cache")
    finally:
        os.umask(before)
    assert [one.stat().st_mode & 0o7777 for one in (tmp_path, tmp_path / "engines")] == [mode] * 2
    assert Path(mount.source).stat().st_mode & 0o777 == 0o755  # an engine's user comes in, whatever the umask
    close([mount])


@pytest.mark.parametrize("mode", [0o1777, 0o775, 0o707])
@pytest.mark.parametrize("place", ["", "engines", f"engines/{'a' * 16}"])
def test_a_cache_that_others_may_write_is_refused_and_stays_as_it_is(
    tmp_path: Path, place: str, mode: int
) -> None:
    folder = tmp_path / place
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(mode)
    with pytest.raises(Refused, match="may be written by others") as caught:
        open_cache(tmp_path, "a" * 16, "/cache")
    assert f"chmod go-w {folder}" in (caught.value.hint or "")
    assert folder.stat().st_mode & 0o7777 == mode
