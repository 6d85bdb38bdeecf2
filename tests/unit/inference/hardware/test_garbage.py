"""Whatever a driver, a kernel or a toolkit writes: no parser fails on it, and none makes numbers up."""

import contextlib

from hypothesis import example, given, settings
from hypothesis import strategies as st

from appliance.inference.hardware import amd, cdi, memory, nvidia, onnx, processor
from appliance.inference.hardware.domain import Accelerator, Vendor
from tests.unit.inference.hardware.machines import CDI_NVIDIA, H100_PARTS, KFD_7900, MEMINFO, TWO_GPUS

ANY = st.text(max_size=300)
FIELDS = nvidia.FIELDS + nvidia.NEWER


def torn(text: str) -> st.SearchStrategy[str]:
    """The text with a piece replaced by something else."""
    place = st.integers(0, len(text))
    return st.builds(lambda a, b, new: text[: min(a, b)] + new + text[max(a, b) :], place, place, ANY)


@given(ANY | torn(TWO_GPUS))
@example('0, "a\0b, \r\n')
@settings(max_examples=60)
def test_rows_of_nvidia_smi_are_whole_or_none(text: str) -> None:
    for row in nvidia.parse(text, FIELDS)[0]:
        assert row.name
        assert row.total is None or str(row.total >> 20) in text


@given(ANY | torn(H100_PARTS))
@settings(max_examples=40)
def test_parts_of_a_gpu_have_a_name(text: str) -> None:
    for parts in nvidia.parse_instances(text).values():
        assert all("MIG-" in part for part in parts)


@given(ANY | torn(KFD_7900))
@settings(max_examples=40)
def test_properties_are_numbers_and_architectures_are_names(text: str) -> None:
    known = amd.parse_properties(text)
    name = amd.gfx(known.get("gfx_target_version", 0))
    assert name == "" or name.startswith("gfx")


@given(ANY | torn(CDI_NVIDIA))
@example("kind: [" * 500)
@example("a: &a [*a]")
@settings(max_examples=60, deadline=None)
def test_a_specification_is_read_or_refused(text: str) -> None:
    device = Accelerator("GPU-x", Vendor.NVIDIA, "x", nodes=("/dev/nvidia0",))
    with contextlib.suppress(ValueError):
        assert cdi.name_of(device, cdi.parse(text)).startswith(("nvidia.com/", ""))


@given(ANY | torn(MEMINFO))
@settings(max_examples=40)
def test_no_more_is_available_than_there_is(text: str) -> None:
    total, available = memory.parse_meminfo(text)
    assert 0 <= available <= total


@given(ANY)
@settings(max_examples=40)
def test_lists_of_cores_and_providers_are_such_or_nothing(text: str) -> None:
    cores = processor.parse_list(text)
    assert cores is None or cores > 0
    processor.parse_cpuinfo(text)
    assert all(isinstance(one, str) for one in onnx.parse(text))
