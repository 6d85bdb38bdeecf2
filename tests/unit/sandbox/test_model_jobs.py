"""What a tool of models is asked for with, and what of it the container engine is told."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from appliance.inference.catalogue import staging
from appliance.lib.config import read_config
from appliance.lib.model_images import ModelImage, model_images
from appliance.processes.guard.options import INCOMING, options_of
from appliance.sandbox.docker.blueprint import Blueprint, Image, creation
from appliance.sandbox.docker.model_jobs import PROGRAMS, ModelJobs
from appliance.sandbox.docker.model_request import ModelDevice
from appliance.sandbox.docker.mounts import Allowed, close
from appliance.sandbox.docker.request import ModelJob, parse_request
from appliance.sandbox.docker.templates import TEMPLATES, TOOLS
from appliance.sandbox.process.request import Refused

IMAGE = f"sha256:{'a' * 64}"
LIMITS = {"memory": 8 << 30, "processes": 64, "open_files": 64, "file_bytes": 1 << 40, "cpu_seconds": None}
GOOD: dict[str, Any] = {
    "verb": "model_job",
    "image": IMAGE,
    "argv": [*PROGRAMS["llamacpp-tools"], "--outtype", "bf16"],
    "env": {"HF_HUB_OFFLINE": "1"},
    "timeout": 3600.0,
    "reads": ["/srv/home/models/x/1"],
    "writes": ["/srv/home/models/.incoming/job-1/output"],
    "output_limit": 1 << 16,
    "limits": LIMITS,
    "live": True,
    "checkpoint": None,
    "run": "",
    "step": "a tool of models",
}


def request(**changed: Any) -> ModelJob:
    read = parse_request(json.dumps({**GOOD, **changed}).encode())
    assert isinstance(read, ModelJob)
    return read


@pytest.mark.parametrize(
    "wrong",
    [
        {"template": "trusted"},
        {"image": "llama.cpp:full"},
        {"argv": []},
        {"reads": ["models"]},
        {"timeout": 30 * 86400.0},
        {"device": {"nodes": ["/dev/sda"]}},
        {"device": {"cdi": "x y"}},
    ],
    ids=str,
)
def test_what_is_not_in_the_request_does_not_get_through(wrong: dict[str, object]) -> None:
    with pytest.raises(Refused, match="not taken"):
        request(**wrong)


def test_no_step_can_name_the_template_of_the_tools() -> None:
    step = {key: value for key, value in GOOD.items() if key != "verb"}
    with pytest.raises(Refused, match="not taken: template"):
        parse_request(json.dumps({**step, "verb": "run", "template": "tools"}).encode())
    assert TOOLS.name not in TEMPLATES


def test_the_tools_have_no_way_out_and_a_device_only_where_one_is_named() -> None:
    asked = request(device={"cdi": "nvidia.com/gpu=GPU-1", "nvidia": "GPU-1"})
    image = Image("sha256:0", ("/data",))
    limits = TOOLS.cap(asked.limits)

    def host_of(device: ModelDevice | None, *, cdi: bool = True) -> dict[str, Any]:
        made = creation(Blueprint(TOOLS, image, limits, 61000, 61000, "none", (), device, cdi), {})
        assert (made["User"], made["NetworkDisabled"]) == ("61000:61000", True)
        found = made["HostConfig"]
        assert isinstance(found, dict)
        return found

    host = host_of(None)
    assert (host["CapDrop"], host["CapAdd"], host["Privileged"]) == (["ALL"], [], False)
    assert "no-new-privileges:true" in host["SecurityOpt"]
    assert (host["ReadonlyRootfs"], host["NetworkMode"], host["DeviceRequests"]) == (True, "none", [])
    assert host["Memory"] == host["MemorySwap"] == 8 << 30
    assert host["RestartPolicy"] == {"Name": "no"}
    (named,) = host_of(asked.device)["DeviceRequests"]
    assert named == {"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=GPU-1"]}
    (named,) = host_of(asked.device, cdi=False)["DeviceRequests"]
    assert named["DeviceIDs"] == ["GPU-1"]


def test_only_tools_of_the_settings_run_and_only_their_own_program() -> None:
    engine = f"sha256:{'b' * 64}"
    images = (ModelImage("llamacpp-tools", "b6000", IMAGE), ModelImage("trtllm", "1.2.1", engine))
    jobs = ModelJobs(images, Allowed((), (), ()))
    jobs.check(request())
    for image in (f"sha256:{'c' * 64}", engine):
        with pytest.raises(Refused, match="for tools of models"):
            jobs.check(request(image=image))
    for argv in (["/bin/sh", "-c", "id"], ["python3", "-c", "1"], ["python3"]):
        with pytest.raises(Refused, match="and nothing else"):
            jobs.check(request(argv=argv))


def test_the_settings_name_tools_as_they_name_engines() -> None:
    found = model_images([f"llamacpp-tools=b6000@{IMAGE}", f"modelopt=0.40@sha256:{'b' * 64}"])
    assert [one.engine for one in found] == ["llamacpp-tools", "modelopt"]
    assert set(PROGRAMS) == {one.engine for one in found}


def test_they_reach_the_models_and_what_is_on_its_way_to_be_one_and_no_secret() -> None:
    folder = Path("/var/tmp") / f"mw-jobs-{os.getpid()}"
    home = folder / "home"
    config = read_config({"MILLWRIGHT_HOME": str(home), "MILLWRIGHT_ENV_FILE": os.devnull})
    output = config.home.models / staging.INCOMING / "job-1" / "output"
    try:
        output.mkdir(parents=True)
        for place in (config.home.secrets, config.home.data, config.home.cache):
            place.mkdir(exist_ok=True)
        allowed = options_of(config).tools.allowed
        close(allowed.open([str(config.home.models)], [str(output)]))
        (output / "out").symlink_to(config.home.secrets)
        for reads, writes in (
            ([], [str(config.home.models)]),
            ([str(config.home.secrets)], []),
            ([str(config.home.path)], []),
            ([str(output / "out")], []),
            ([], [str(config.home.cache)]),
            (["/etc"], []),
        ):
            with pytest.raises(Refused):
                allowed.open(reads, writes)
    finally:
        shutil.rmtree(folder)
    assert staging.INCOMING == INCOMING
