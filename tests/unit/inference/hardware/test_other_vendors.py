"""AMD, Intel, NPUs and FPGA cards, as sysfs shows them."""

import pytest

from appliance.inference.hardware.amd import gfx
from appliance.inference.hardware.detecting import look
from appliance.inference.hardware.domain import MemoryKind, Vendor
from tests.unit.inference.hardware.machines import (
    CDI_AMD,
    KFD_7900,
    KFD_CPU,
    KFD_MI300A,
    KFD_PHOENIX,
    Machine,
)

NODES = "sys/class/kfd/kfd/topology/nodes"


def radeon(machine: Machine, properties: str, ids: str = "1002:744C", kind: str = "30000") -> Machine:
    machine.card(
        "0000:03:00.0", ids, kind, "amdgpu", ("card0", "renderD128"),
        mem_info_vram_total="25753026560\n", mem_info_vram_used="1073741824\n",
    )  # fmt: skip
    machine.write("sys/class/drm/card0-DP-1/status", "connected\n")
    machine.write(f"{NODES}/0/properties", KFD_CPU).write(f"{NODES}/1/properties", properties)
    return machine.nodes("kfd", "dri/card0", "dri/renderD128")


def test_a_radeon_with_its_memory_architecture_and_name_for_containers(machine: Machine) -> None:
    radeon(machine, KFD_7900).write("etc/cdi/amd.json", CDI_AMD).write(
        "sys/module/amdgpu/version", "6.10.5\n"
    )

    found = look(machine.roots)

    (card,) = found.accelerators
    assert (card.vendor, card.architecture, card.driver) == (Vendor.AMD, "gfx1100", "amdgpu 6.10.5")
    assert card.id == f"GPU-{12398127341234567890:016x}"
    assert (card.memory_total, card.memory_used) == (25753026560, 1073741824)
    assert card.nodes == ("/dev/kfd", "/dev/dri/renderD128")
    assert card.cdi == "amd.com/gpu=0"
    assert found.notes == ()
    assert "MIGraphXExecutionProvider" in found.runtimes


@pytest.mark.parametrize(
    ("properties", "ids", "kind", "architecture"),
    [(KFD_MI300A, "1002:74A0", "120000", "gfx942"), (KFD_PHOENIX, "1002:15BF", "38000", "gfx1103")],
    ids=["MI300A", "Phoenix"],
)
def test_graphics_inside_a_processor_have_no_memory_of_their_own(
    machine: Machine, properties: str, ids: str, kind: str, architecture: str
) -> None:
    (card,) = look(radeon(machine, properties, ids, kind).roots).accelerators

    assert (card.memory_kind, card.memory_total, card.memory_used) == (MemoryKind.UNIFIED, None, None)
    assert (card.id, card.architecture) == ("0000:03:00.0", architecture)


def test_rocm_calls_graphics_inside_a_processor_by_its_number_and_a_card_by_its_name(
    machine: Machine,
) -> None:
    """The number is that among the nodes that compute, in the driver's order and not in that of their names."""
    other = KFD_7900.replace("drm_render_minor 128", "drm_render_minor 129")
    radeon(machine, KFD_PHOENIX, "1002:15BF", "38000")
    (first,) = look(machine.roots).accelerators
    machine.write(f"{NODES}/1/properties", KFD_CPU).write(f"{NODES}/2/properties", other)
    machine.write(f"{NODES}/10/properties", KFD_PHOENIX)
    (second,) = look(machine.roots).accelerators
    assert (first.visible_as, second.visible_as) == ("0", "1")

    machine.write(f"{NODES}/10/properties", KFD_7900)
    (card,) = look(machine.roots).accelerators
    assert card.visible_as == card.id != ""


def test_an_instinct_card_has_memory_of_its_own(machine: Machine) -> None:
    (card,) = look(radeon(machine, KFD_MI300A, "1002:74A1", "120000").roots).accelerators
    assert (card.memory_kind, card.memory_total) == (MemoryKind.DEDICATED, 25753026560)


def test_a_radeon_without_the_compute_driver_is_noted(machine: Machine) -> None:
    radeon(machine, KFD_7900)
    (machine.folder / "dev/kfd").unlink()

    found = look(machine.roots)

    assert "/dev/kfd" in found.notes[0]


@pytest.mark.parametrize(
    ("number", "name"),
    [(90402, "gfx942"), (90010, "gfx90a"), (110000, "gfx1100"), (110501, "gfx1151"), (0, ""), (99, "")],
)
def test_architectures_are_written_as_rocm_writes_them(number: int, name: str) -> None:
    assert gfx(number) == name


def test_intels_graphics_share_memory_and_its_cards_do_not(machine: Machine) -> None:
    machine.card("0000:00:02.0", "8086:A780", "30000", "i915", ("card0", "renderD128"))
    machine.card("0000:03:00.0", "8086:56A0", "30000", "xe", ("card1", "renderD129"),
                 **{"tile0/physical_vram_size_bytes": "17095983104\n"})  # fmt: skip
    machine.nodes("dri/renderD128", "dri/renderD129")

    inside, card = look(machine.roots).accelerators

    assert (inside.memory_kind, inside.memory_total) == (MemoryKind.UNIFIED, None)
    assert (card.memory_kind, card.memory_total, card.nodes) == (
        MemoryKind.DEDICATED, 17095983104, ("/dev/dri/renderD129",),
    )  # fmt: skip


def test_an_fpga_card_is_one_device_although_it_shows_two_functions(machine: Machine) -> None:
    machine.card("0000:65:00.0", "10EE:5000", "120000", "xclmgmt")
    machine.card("0000:65:00.1", "10EE:5001", "120000", "xocl", ("renderD128",))
    machine.nodes("dri/renderD128", "xclmgmt25856")

    found = look(machine.roots)

    (card,) = found.accelerators
    assert (card.id, card.driver, card.nodes) == ("0000:65:00.1", "xocl", ("/dev/dri/renderD128",))
    assert found.notes == ()
    assert "VitisAIExecutionProvider" in found.runtimes


def test_an_fpga_card_with_its_management_function_alone_cannot_be_used(machine: Machine) -> None:
    machine.card("0000:65:00.0", "10EE:5000", "120000", "xclmgmt").nodes("xclmgmt25856")

    found = look(machine.roots)

    assert found.accelerators == ()
    assert "management function alone" in found.notes[0]


def test_npus_and_modules_are_found_by_driver_or_file(machine: Machine) -> None:
    machine.card("0000:00:0b.0", "8086:7D1D", "120000", "intel_vpu", ("accel0",))
    machine.card("0000:c6:00.1", "1022:1502", "118000", "amdxdna", ("accel1",))
    machine.nodes("accel/accel0", "accel/accel1", "accel/accel2", "hailo0")

    found = look(machine.roots)

    assert [(one.name, one.nodes) for one in found.accelerators] == [
        ("Intel NPU (8086:7d1d)", ("/dev/accel/accel0",)),
        ("AMD NPU (XDNA) (1022:1502)", ("/dev/accel/accel1",)),
        ("Hailo", ("/dev/hailo0",)),
        ("accel2", ("/dev/accel/accel2",)),
    ]
    assert {"OpenVINOExecutionProvider", "VitisAIExecutionProvider"} <= set(found.runtimes)


def test_a_card_for_screens_alone_is_no_accelerator(machine: Machine) -> None:
    machine.card("0000:02:00.0", "1A03:2000", "30000", "ast", ("card0",)).nodes("dri/card0")

    found = look(machine.roots)

    assert (found.accelerators, found.notes) == ((), ())
