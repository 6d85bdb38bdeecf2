"""What a tool of models is asked for with, and what of it the container engine is told."""

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest

from appliance.inference.catalogue import staging
from appliance.lib.config import read_config
from appliance.lib.model_images import ModelImage, model_images
from appliance.processes.guard.options import INCOMING, options_of
from appliance.sandbox.docker.blueprint import Blueprint, Image, creation
from appliance.sandbox.docker.model_jobs import ENVIRONMENT, PROGRAMS, ModelJobs
from appliance.sandbox.docker.model_request import ModelDevice
from appliance.sandbox.docker.mounts import Allowed, close
from appliance.sandbox.docker.request import ModelJob, parse_request
from appliance.sandbox.docker.templates import TEMPLATES, TOOLS
from appliance.sandbox.process.request import Refused

IMAGE, MODELOPT = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
ENGINE = f"sha256:{'d' * 64}"
JOB = "/srv/home/models/.incoming/job-1"
INPUT, OUTPUT = f"{JOB}/input", f"{JOB}/output"
CONVERT = PROGRAMS["llamacpp-tools"]
LIMITS = {"memory": 8 << 30, "processes": 64, "open_files": 64, "file_bytes": 1 << 40, "cpu_seconds": None}
GOOD: dict[str, Any] = {
    "verb": "model_job",
    "image": IMAGE,
    "argv": [*CONVERT, "--outtype", "bf16", "--outfile", f"{OUTPUT}/x-BF16.gguf", INPUT],
    "env": {"HF_HUB_OFFLINE": "1"},
    "timeout": 3600.0,
    "reads": [INPUT],
    "writes": [OUTPUT],
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


@pytest.fixture
def jobs() -> ModelJobs:
    images = (
        ModelImage("llamacpp-tools", "b6000", IMAGE),
        ModelImage("modelopt", "0.40", MODELOPT),
        ModelImage("trtllm", "1.2.1", ENGINE),
    )
    return ModelJobs(images, Allowed((), (), ()))


def four_bits(**changed: str) -> dict[str, Any]:
    """Model Optimizer's request; ``changed`` are values of its options, which are left out where empty."""
    values = {
        "pyt_ckpt_path": INPUT, "qformat": "int4_awq", "export_path": OUTPUT, "calib_size": "128",
        "dataset": "/srv/texts", "kv_cache_qformat": "none", **changed,
    }  # fmt: skip
    words = [word for name, value in values.items() if value for word in (f"--{name}", value)]
    return {"image": MODELOPT, "argv": [*PROGRAMS["modelopt"], *words], "reads": [INPUT, "/srv/texts"]}


def test_only_tools_of_the_settings_run_and_only_their_own_program(jobs: ModelJobs) -> None:
    jobs.check(request())
    jobs.check(request(**four_bits(), device={"cdi": "nvidia.com/gpu=GPU-1", "nvidia": "GPU-1"}))
    for image in (f"sha256:{'c' * 64}", ENGINE):
        with pytest.raises(Refused, match="for tools of models"):
            jobs.check(request(image=image))
    for argv in (["/bin/sh", "-c", "id"], ["python3", "-c", "1"], ["python3"]):
        with pytest.raises(Refused, match="and nothing else"):
            jobs.check(request(argv=argv))


@pytest.mark.parametrize(
    "env",
    [
        {"PYTHONPATH": INPUT},
        {"LD_PRELOAD": f"{INPUT}/x.so"},
        {"NVIDIA_VISIBLE_DEVICES": "all"},
        {"HOME": INPUT},
        {"HF_HUB_OFFLINE": "0"},
    ],
    ids=str,
)
def test_the_environment_of_a_tool_brings_no_program_along(jobs: ModelJobs, env: dict[str, str]) -> None:
    jobs.check(request(env=dict(ENVIRONMENT)))
    with pytest.raises(Refused, match="environment"):
        jobs.check(request(env=env))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "each option once"),
        (["--outtype", "bf16", "--trust-remote-code", INPUT], "each option once"),
        (["--outtype", "bf16", "--outtype", "bf16", INPUT], "each option once"),
        (["--mmproj", "x", INPUT], "no such option"),
        (["--outt", "bf16", INPUT], "no such option"),
        (["--outtype=bf16", "x", INPUT], "no such option"),
        (["--outtype", "--remote", INPUT], "not what it may be"),
        (["--outfile", f"{INPUT}/x", INPUT], "not what it may be"),
        (["--outfile", f"{OUTPUT}/..", INPUT], "not what it may be"),
        (["--outfile", f"{OUTPUT}/a/../../x", INPUT], "not what it may be"),
        (["--outtype", "bf16", "/etc"], "just the folders"),
        (["--outtype", "bf16", "--remote"], "just the folders"),
    ],
    ids=str,
)
def test_the_converter_is_given_its_own_options_alone(jobs: ModelJobs, words: list[str], said: str) -> None:
    with pytest.raises(Refused, match=said):
        jobs.check(request(argv=[*CONVERT, *words]))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"trust_remote_code": "1"}, "no such option"),
        ({"pyt_ckpt_path": "/etc"}, "not what it may be"),
        ({"export_path": INPUT}, "not what it may be"),
        ({"qformat": "all"}, "not what it may be"),
        ({"calib_size": "-1"}, "not what it may be"),
        ({"dataset": "cnn_dailymail"}, "not what it may be"),
        ({"dataset": ""}, "just the folders"),
    ],
    ids=str,
)
def test_model_optimizer_is_given_its_own_options_alone(
    jobs: ModelJobs, changed: dict[str, str], said: str
) -> None:
    with pytest.raises(Refused, match=said):
        jobs.check(request(**four_bits(**changed)))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"files": {"sitecustomize.py": "1"}}, "neither files"),
        ({"checkpoint": {"limit": 10, "every": 1.0, "initial": 0}}, "neither files"),
        ({"writes": []}, "writes one folder"),
        ({"writes": [OUTPUT, f"{JOB}/more"]}, "writes one folder"),
        ({"reads": [INPUT, "/srv/texts"]}, "just the folders"),
        ({"device": {"nvidia": "GPU-1"}}, "without a device"),
    ],
    ids=str,
)
def test_a_tool_has_nothing_beside_what_it_works_on(
    jobs: ModelJobs, changed: dict[str, object], said: str
) -> None:
    with pytest.raises(Refused, match=said):
        jobs.check(request(**changed))


def test_what_a_tool_writes_is_really_a_jobs_own_folder() -> None:
    with tempfile.TemporaryDirectory(
        dir="/var/tmp", prefix="mw-jobs-"
    ) as name:  # /tmp is the container's own
        incoming = Path(name) / "models" / INCOMING
        jobs = ModelJobs((), Allowed([incoming.parent], [incoming], ()), incoming)
        output = incoming / "job-0a" / "output"
        output.mkdir(parents=True)
        close(jobs.open(request(reads=[], writes=[str(output)])))
        (incoming / "another/files").mkdir(parents=True)
        (incoming / "job-1").symlink_to(incoming / "another")
        (incoming / "job-2").mkdir()
        (incoming / "job-2/output").symlink_to(incoming / "another/files")
        (output / "deeper/output").mkdir(parents=True)
        for wrong in (
            "",
            "another/files",
            "job-0a",
            "job-1/files",
            "job-2/output",
            "job-0a/output/deeper/output",
        ):
            with pytest.raises(Refused, match="of a job of its own"):
                jobs.open(request(reads=[], writes=[str(incoming / wrong)]))


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
        close(options_of(config).tools.open(request(reads=[], writes=[str(output)])))
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
