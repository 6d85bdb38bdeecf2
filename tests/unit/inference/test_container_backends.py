"""What engines in containers are told: command lines, files, bodies, and the compose file of the same."""

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from appliance.inference.backends.compose_text import compose_text
from appliance.inference.backends.contract import BackendContext, Footprint, Plan, Profile
from appliance.inference.backends.refusing import sentence
from appliance.inference.backends.remote.backend import Remote
from appliance.inference.backends.remote.where import origin_of
from appliance.inference.backends.trtllm.backend import TensorRT
from appliance.inference.backends.trtllm.capabilities import Precedence, SchemaForm, capabilities_of
from appliance.inference.backends.trtllm.dialect import dialect_of
from appliance.inference.backends.vllm.backend import VLlm
from appliance.inference.catalogue.manifest import Manifest, ModelFile, Shape
from appliance.inference.domain import EngineKind, ModelFormat
from appliance.inference.errors import EngineAbsent, ModelRefused
from appliance.inference.hardware.domain import Accelerator, Hardware, Processor, Vendor
from appliance.lib.jsontypes import JsonObject
from appliance.safety.stop import Level
from tests.contract.inference.members import remote_model

GIB = 1 << 30
NVIDIA = Accelerator(
    "GPU-1", Vendor.NVIDIA, "L4", memory_total=24 * GIB, memory_used=0, cdi="nvidia.com/gpu=GPU-1"
)
AMD = Accelerator(
    "0000:03:00.0", Vendor.AMD, "RX 7900", memory_total=24 * GIB, nodes=("/dev/kfd", "/dev/dri/renderD128")
)
HARDWARE = Hardware(Processor("cpu", 8), 64 * GIB, 60 * GIB, (NVIDIA, AMD))
DIGESTS = [f"sha256:{letter * 64}" for letter in "abc"]
AMDS = Profile(EngineKind.VLLM, context=8192, slots=4, device=AMD.id)
IMAGES = f"trtllm=1.2.1@{DIGESTS[0]}, vllm=0.11@{DIGESTS[1]}, vllm=0.11+rocm@{DIGESTS[2]}"


def manifest(**given: object) -> Manifest:
    values: dict[str, Any] = {
        "name": "qwen3-8b",
        "version": "1",
        "format": ModelFormat.SAFETENSORS,
        "files": (ModelFile(path="model.safetensors", size=8 * GIB, sha256="1" * 64),),
        "main": ".",
        "context": 32768,
        "shape": Shape(layers=36, kv_heads=8, head_size=128),
        "added_at": "2026-01-01T00:00:00Z",
    }
    return Manifest.model_validate({**values, **given})


def context(images: str = IMAGES, **settings: str) -> BackendContext:
    found = {"MILLWRIGHT_MODEL_IMAGES": images, **settings}
    return BackendContext("home", Path("/models"), Path("/var/engines"), found, None)  # type: ignore[arg-type]


def trtllm(version: str = "1.2.1", **given: Any) -> Plan:
    backend = TensorRT(context(f"trtllm={version}@{DIGESTS[0]}"))
    profile = Profile(EngineKind.TRTLLM, context=8192, slots=4, device="GPU-1", options=given)
    return backend.plan(manifest(), Path("/home/models/qwen3-8b/1"), profile, HARDWARE, None)


def config_of(plan: Plan) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(plan.files["engine.yaml"])
    return found


@pytest.mark.parametrize("version", ["1.1.0", "1.2.1", "1.3.0rc20", "1.3.0"])
def test_model_host_and_port_stand_on_the_command_line_and_all_else_in_the_file(version: str) -> None:
    plan = trtllm(version)
    assert plan.argv == (
        *("trtllm-serve", "/models/qwen3-8b", "--host", "0.0.0.0", "--port", "8000"),
        *("--extra_llm_api_options", "/engine/engine.yaml"),
    )
    config = config_of(plan)
    assert (config["max_batch_size"], config["max_seq_len"], config["max_num_tokens"]) == (4, 8192, 8192)
    assert config["guided_decoding_backend"] == "xgrammar"
    assert config["return_perf_metrics"]
    assert config["enable_iter_perf_stats"]


def test_it_takes_what_is_reserved_and_never_the_whole_device() -> None:
    cache = config_of(trtllm())["kv_cache_config"]
    wanted = 2 * 2 * 36 * 8 * 128 * 8192 * 4
    assert cache["max_tokens"] == 8192 * 4
    assert cache["free_gpu_memory_fraction"] == pytest.approx(wanted / (16 * GIB), abs=0.001)
    assert "max_gpu_total_bytes" not in cache
    assert config_of(trtllm("1.3.0rc7"))["kv_cache_config"]["max_gpu_total_bytes"] == wanted
    crowded = Hardware(Processor("cpu", 8), 64 * GIB, 60 * GIB, (replace(NVIDIA, memory_used=15 * GIB),))
    backend = TensorRT(context())
    profile = Profile(EngineKind.TRTLLM, context=8192, slots=4, device="GPU-1")
    full = backend.plan(manifest(), Path("/m"), profile, crowded, None)
    assert config_of(full)["kv_cache_config"]["free_gpu_memory_fraction"] == 0.85


def test_nothing_is_asked_of_the_network_and_caches_are_kept() -> None:
    plan = trtllm()
    assert plan.environment["TRTLLM_NO_USAGE_STATS"] == plan.environment["HF_HUB_OFFLINE"] == "1"
    assert plan.environment["TLLM_AUTOTUNER_CACHE_PATH"].startswith("/cache/")
    assert plan.environment["HOME"].startswith("/cache/")
    assert plan.stall == 1800
    assert trtllm(start_stall_seconds=600).stall == 600


@pytest.mark.parametrize(
    ("version", "parser", "taken"),
    [
        ("1.1.0", "qwen3", False),
        ("1.2.1", "deepseekv3", True),
        ("1.3.0", "deepseekv3", False),
        ("1.3.0", "deepseek_v3", True),
        ("1.3.0rc7", "qwen3", True),
        ("1.3.0", "llama3_json", False),
    ],
)
def test_a_parser_of_tools_is_one_that_the_version_has(version: str, parser: str, taken: bool) -> None:
    if taken:
        assert trtllm(version, tool_parser=parser).argv[-2:] == ("--tool_parser", parser)
    else:
        with pytest.raises(ModelRefused, match="tool_parser"):
            trtllm(version, tool_parser=parser)


def test_each_version_has_its_row() -> None:
    assert capabilities_of("1.1.0").health_lies
    assert capabilities_of("1.2.1").precedence is Precedence.FILE
    assert capabilities_of("1.3.0rc3") == capabilities_of("1.2.0")
    assert capabilities_of("1.3.0rc25").served_name_flag
    assert capabilities_of("1.3.0").schema_form is SchemaForm.JSON_SCHEMA
    assert capabilities_of("1.4.2") == capabilities_of("1.3.1")
    for wrong in ("0.12.0", "latest"):
        with pytest.raises(ModelRefused):
            capabilities_of(wrong)


def test_a_body_is_what_the_version_takes() -> None:
    schema: JsonObject = {"name": "a", "schema": {"type": "object"}}
    form: JsonObject = {"type": "json_schema", "json_schema": schema}
    body: JsonObject = {
        "max_tokens": 0,
        "top_k": -1,
        "stream_options": {},
        "tool_choice": "required",
        "response_format": form,
    }
    old, new = dialect_of(capabilities_of("1.2.1")), dialect_of(capabilities_of("1.3.0"))
    assert old.shape(body) == {
        "max_tokens": 1,
        "tool_choice": "auto",
        "response_format": {"type": "json", "schema": {"type": "object"}},
    }
    assert new.shape(body)["response_format"] == form
    assert new.shape(body)["tool_choice"] == "required"
    assert "parallel_tool_calls" in new.fields - old.fields


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"object":"error","message":"too long","type":"BadRequestError","code":400}', "too long"),
        (b"{\"error\": \"[{'type': 'missing'}]\"}", "[{'type': 'missing'}]"),
        (b'{"error": {"message": "no such model"}}', "no such model"),
        (b'{"detail": "Not Found"}', "Not Found"),
        (b"<html>bad gateway</html>", "<html>bad gateway</html>"),
        (b"", "the engine answered with status 502"),
    ],
)
def test_an_error_is_one_sentence_whatever_its_form(body: bytes, said: str) -> None:
    assert sentence(502, body) == said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"device": ""}, "none is named"),
        ({"device": "GPU-2"}, "no device GPU-2"),
        ({"device": AMD.id}, "does not run on RX 7900"),
        ({"context": 65536}, "was made for 32768"),
        ({"options": {"trust_remote_code": True}}, "no option"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_made(change: dict[str, Any], said: str) -> None:
    profile = replace(Profile(EngineKind.TRTLLM, context=8192, device="GPU-1"), **change)
    with pytest.raises(ModelRefused, match=said):
        TensorRT(context()).plan(manifest(), Path("/m"), profile, HARDWARE, None)
    with pytest.raises(ModelRefused, match="does not read gguf"):
        TensorRT(context()).plan(manifest(format="gguf"), Path("/m"), profile, HARDWARE, None)


async def test_without_an_image_it_says_what_to_do() -> None:
    for backend in (TensorRT(context("")), VLlm(context(""))):
        found = await backend.probe()
        assert not found.available
        assert "MILLWRIGHT_MODEL_IMAGES" in found.hint
        profile = Profile(backend.kind, context=8192, device="GPU-1")
        with pytest.raises(EngineAbsent, match="no image"):
            backend.plan(manifest(), Path("/m"), profile, HARDWARE, None)


def test_vllm_gets_the_share_that_is_reserved_and_the_image_of_its_device() -> None:
    backend = VLlm(context())
    profile = Profile(EngineKind.VLLM, context=8192, slots=4, device="GPU-1")
    plan = backend.plan(manifest(), Path("/m"), profile, HARDWARE, Footprint(12 * GIB, GIB, measured=True))
    words = dict(zip(plan.argv[3::2], plan.argv[4::2], strict=False))
    assert words["--gpu-memory-utilization"] == "0.5"
    assert words["--served-model-name"] == "qwen3-8b"
    assert (plan.image, plan.accelerator) == (DIGESTS[1], NVIDIA)
    amd = backend.plan(manifest(), Path("/m"), replace(profile, device=AMD.id), HARDWARE, None)
    assert (amd.image, amd.accelerator) == (DIGESTS[2], AMD)


def test_what_was_learned_makes_no_other_plan_and_another_profile_does() -> None:
    backend = VLlm(context())
    profile = Profile(EngineKind.VLLM, context=8192, slots=4, device="GPU-1")
    plans = [
        backend.plan(manifest(), Path("/m"), asked, HARDWARE, learned)
        for asked, learned in (
            (profile, None),
            (profile, Footprint(12 * GIB, GIB, measured=True)),
            (replace(profile, slots=2), None),
        )
    ]
    assert plans[0].digest == plans[1].digest != plans[2].digest


def test_a_compose_file_says_what_guard_would_make() -> None:
    plan = trtllm()
    found = yaml.safe_load(compose_text(plan))
    service = found["services"]["qwen3-8b"]
    assert [*service["entrypoint"], *service["command"]] == list(plan.argv)
    assert service["image"] == plan.image
    assert (service["cap_drop"], service["read_only"], service["restart"]) == (["ALL"], True, "no")
    assert service["ports"] == ["127.0.0.1:8000:8000"]
    assert service["devices"] == ["nvidia.com/gpu=GPU-1"]
    assert found["configs"]["engine-yaml"]["content"] == plan.files["engine.yaml"]
    with pytest.raises(ModelRefused, match="by a process"):
        compose_text(replace(plan, image=""))


def test_a_compose_file_says_which_compose_reads_it() -> None:
    """Files in the text itself are of Compose 2.23.1 on; beside it, or without any, the older program reads it too."""
    plan = trtllm()
    assert "2.23.1 or newer" in compose_text(plan).split("services:")[0]
    for text in (compose_text(plan, "engine"), compose_text(replace(plan, files={}))):
        assert "docker-compose from 1.28 on" in text.split("services:")[0]
        assert "configs" not in yaml.safe_load(text)
    service = yaml.safe_load(compose_text(plan, "engine"))["services"]["qwen3-8b"]
    assert "./engine/engine.yaml:/engine/engine.yaml:ro" in service["volumes"]


@pytest.mark.parametrize("beside", ["engine-files", ""])
def test_the_program_of_compose_takes_it(tmp_path: Path, beside: str) -> None:
    """The older one, of a model without files, or with its files beside it."""
    program = shutil.which("docker-compose")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("no docker-compose here: continuous integration installs it")
        pytest.skip("no docker-compose here (apt-get install docker-compose)")
    for plan in (trtllm(), VLlm(context()).plan(manifest(), Path("/m"), AMDS, HARDWARE, None)):
        file = tmp_path / f"{plan.profile.engine.value}.yaml"
        file.write_text(compose_text(plan if beside else replace(plan, files={}), beside))
        done = subprocess.run(
            [program, "-f", str(file), "config"], capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        service = yaml.safe_load(done.stdout)["services"]["qwen3-8b"]
        assert service["image"] == plan.image
        assert [*service["entrypoint"], *service["command"]] == list(plan.argv)
        assert service["cap_drop"] == ["ALL"]


def remote(where: str, **settings: str) -> Remote:
    return Remote(context(MILLWRIGHT_REMOTE_MODELS=where, **settings))


async def test_nothing_elsewhere_is_asked_that_the_operator_did_not_name(tmp_path: Path) -> None:
    model, folder = remote_model(tmp_path, "https://models.example", "gpt")
    profile = Profile(EngineKind.REMOTE, context=1024)
    assert not (await remote("").probe()).available
    for named in ("", "other.example", "http://models.example", "models.example:8443"):
        with pytest.raises(ModelRefused, match="not where this box may ask"):
            remote(named).plan(model, folder, profile, HARDWARE, None)
    plan = remote("other.example, models.example").plan(model, folder, profile, HARDWARE, None)
    assert plan.argv == ("https://models.example", "gpt", "far_key")
    assert "value" not in json.dumps(plan.argv)  # of the key its name alone


async def test_while_nothing_may_leave_the_box_nobody_elsewhere_is_asked(tmp_path: Path) -> None:
    model, folder = remote_model(tmp_path, "https://models.example", "gpt")
    level = Level.NONE

    async def secret(name: str) -> str:
        return f"value of {name}"

    given = replace(context(MILLWRIGHT_REMOTE_MODELS="models.example"), secret=secret, stopped=lambda: level)
    backend = Remote(given)
    plan = backend.plan(model, folder, Profile(EngineKind.REMOTE, context=1024), HARDWARE, None)
    running = await backend.start(plan, 1)
    assert (running.url, running.served_as, running.key) == (
        "https://models.example",
        "gpt",
        "value of far_key",
    )
    level = Level.CUT
    assert (await backend.ready(running)).reason == "the all-stop lets nothing leave the box"
    with pytest.raises(EngineAbsent, match="all-stop"):
        await backend.start(plan, 2)
    await backend.close()


def test_two_names_of_one_place_are_the_same() -> None:
    assert origin_of("models.example") == origin_of("https://Models.Example:443/v1")
    assert origin_of("http://10.0.0.5:8000") != origin_of("10.0.0.5:8000")
