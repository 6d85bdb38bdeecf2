"""NVIDIA's GPUs, by what nvidia-smi and the driver said on such machines."""

import time
from dataclasses import replace

from appliance.inference.hardware.detecting import look
from appliance.inference.hardware.domain import MemoryKind, Vendor
from appliance.inference.hardware.nvidia import slot_of
from tests.unit.inference.hardware.machines import (
    CDI_NVIDIA,
    H100_PARTS,
    H100_WITH_MIG,
    NO_DRIVER,
    NOT_VALID,
    ORIN,
    SPARK,
    TWO_GPUS,
    Machine,
)

MIB = 1 << 20
FIRST, SECOND = "GPU-11111111-aaaa-bbbb-cccc-000000000001", "GPU-22222222-aaaa-bbbb-cccc-000000000002"


def two_gpus(machine: Machine) -> Machine:
    machine.nvidia("0000:01:00.0", 0, FIRST, "NVIDIA GeForce RTX 4090")
    return machine.nvidia("0000:41:00.0", 1, SECOND, "NVIDIA RTX A2000 12GB", "10DE:2571")


def test_two_gpus_with_their_memory_files_and_names_for_containers(machine: Machine) -> None:
    two_gpus(machine).smi(TWO_GPUS).write("etc/cdi/nvidia.yaml", CDI_NVIDIA)

    found = look(machine.roots)

    one, other = found.accelerators
    assert (one.id, one.vendor, one.architecture, one.driver) == (FIRST, Vendor.NVIDIA, "8.9", "560.35.03")
    assert (one.memory_kind, one.memory_total, one.memory_used) == (
        MemoryKind.DEDICATED,
        24564 * MIB,
        512 * MIB,
    )
    assert one.nodes == ("/dev/nvidia0", "/dev/nvidiactl", "/dev/nvidia-uvm")
    assert one.cdi == f"nvidia.com/gpu={FIRST}"
    assert other.nodes[0] == "/dev/nvidia1"
    assert other.cdi == "nvidia.com/gpu=1"
    assert found.notes == ()
    assert found.runtimes[:2] == ("TensorrtExecutionProvider", "CUDAExecutionProvider")


def test_of_a_gpu_that_is_split_nothing_is_promised_and_its_parts_are_named(machine: Machine) -> None:
    machine.nodes("nvidiactl").smi({"-L": H100_PARTS, "query": H100_WITH_MIG})

    found = look(machine.roots)

    split, whole = found.accelerators
    assert (split.memory_total, split.memory_used) == (None, None)
    assert whole.memory_total == 81559 * MIB
    assert len(found.notes) == 1
    assert "3g.40gb MIG-5b3c1b2e-aaaa-5bbb-8ccc-1234567890ab, 1g.10gb MIG-6c4d2c3f" in found.notes[0]


def test_a_driver_that_hangs_costs_its_time_limit_and_the_gpus_are_still_named(machine: Machine) -> None:
    two_gpus(machine).program("#!/bin/sh\nexec sleep 60\n")
    began = time.monotonic()

    found = look(replace(machine.roots, seconds=0.2))

    assert time.monotonic() - began < 5
    assert [one.id for one in found.accelerators] == [FIRST, SECOND]
    assert [one.memory_total for one in found.accelerators] == [None, None]
    assert "does not answer within 0.2 s" in found.notes[0]


def test_a_driver_that_is_broken_says_so_in_its_own_words(machine: Machine) -> None:
    machine.card("0000:01:00.0", "10DE:2684", "30000", "nvidia").smi(NO_DRIVER, status=9)

    found = look(machine.roots)

    assert found.accelerators == ()
    assert "couldn't communicate with the NVIDIA driver" in found.notes[0]


def test_an_old_driver_that_does_not_know_a_field_is_asked_without_it(machine: Machine) -> None:
    rows = "\n".join(line.rsplit(", ", 2)[0] for line in TWO_GPUS.splitlines())
    machine.write("answers/no", NOT_VALID).write("answers/yes", rows)
    folder = machine.folder / "answers"
    machine.nodes("nvidiactl").program(
        f'#!/bin/sh\ncase "$*" in *compute_cap*) cat {folder}/no; exit 2;; *) cat {folder}/yes;; esac\n'
    )

    found = look(machine.roots)

    assert [(one.id, one.architecture) for one in found.accelerators] == [(FIRST, ""), (SECOND, "")]
    assert found.accelerators[0].memory_total == 24564 * MIB


def test_a_gpu_that_fell_off_the_bus_is_a_note_and_the_other_one_counts(machine: Machine) -> None:
    lost = "Unable to determine the device handle for GPU0000:41:00.0: GPU is lost. Reboot the system\n"
    machine.nodes("nvidiactl").smi(lost + TWO_GPUS.splitlines()[0] + "\n")

    found = look(machine.roots)

    assert [one.id for one in found.accelerators] == [FIRST]
    assert "GPU is lost" in found.notes[0]


def test_a_desk_machine_that_shares_its_memory_has_no_memory_of_its_own(machine: Machine) -> None:
    machine.nodes("nvidiactl").smi(SPARK)

    (spark,) = look(machine.roots).accelerators

    assert (spark.memory_kind, spark.memory_total, spark.architecture) == (MemoryKind.UNIFIED, None, "12.1")


def test_a_jetson_shares_its_memory_with_and_without_nvidia_smi(machine: Machine) -> None:
    machine.write("proc/device-tree/compatible", "nvidia,p3737-0000+p3701-0005\0nvidia,tegra234\0")
    machine.write("proc/device-tree/model", "NVIDIA Jetson AGX Orin Developer Kit\0")
    machine.write("etc/nv_tegra_release", "# R36 (release), REVISION: 3.0, GCID: 36106755, BOARD: generic\n")
    machine.nodes("nvhost-gpu", "nvhost-ctrl-gpu", "nvmap")

    (bare,) = look(machine.roots).accelerators
    (asked,) = look(machine.smi(ORIN).roots).accelerators

    assert (bare.name, bare.driver) == ("NVIDIA Jetson AGX Orin Developer Kit", "R36.3.0")
    for board in (bare, asked):
        assert (board.id, board.architecture, board.memory_total) == ("tegra234", "8.7", None)
        assert board.memory_kind is MemoryKind.UNIFIED
        assert board.nodes == ("/dev/nvhost-gpu", "/dev/nvhost-ctrl-gpu", "/dev/nvmap")


def test_a_number_that_a_card_does_not_say_is_not_made_up(machine: Machine) -> None:
    machine.nodes("nvidiactl").smi(TWO_GPUS.replace("24564, 512", "[N/A], [Unknown Error]"))

    one = look(machine.roots).accelerators[0]

    assert (one.memory_kind, one.memory_total, one.memory_used) == (MemoryKind.DEDICATED, None, None)


def test_cards_without_nvidias_driver_are_noted_with_who_holds_them(machine: Machine) -> None:
    machine.card("0000:01:00.0", "10DE:2684", "30000").card("0000:02:00.0", "10DE:2684", "30000", "nouveau")
    machine.card("0000:02:00.1", "10DE:22BA", "40300", "snd_hda_intel")

    found = look(machine.roots)

    assert found.accelerators == ()
    assert found.notes == (
        "An NVIDIA card (10de:2684, 0000:01:00.0) has no driver.",
        "An NVIDIA card (10de:2684, 0000:02:00.0) is held by nouveau.",
    )


def test_without_nvidia_smi_the_driver_still_names_its_gpus(machine: Machine) -> None:
    found = look(two_gpus(machine).roots)

    assert [(one.id, one.memory_total) for one in found.accelerators] == [(FIRST, None), (SECOND, None)]
    assert "nvidia-smi is not" in found.notes[0]


def test_slots_are_written_as_the_kernel_writes_them() -> None:
    assert slot_of("00000000:1B:00.0") == "0000:1b:00.0"
    assert slot_of("0000000F:01:00.0") == "000f:01:00.0"
    assert slot_of("") == ""
