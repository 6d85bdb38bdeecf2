"""Processor, memory and the whole answer, within what the control groups leave."""

import asyncio
import json
import subprocess
import sys
import threading
import time
from dataclasses import fields
from pathlib import Path

import pytest

from appliance.inference.hardware import asking, onnx
from appliance.inference.hardware.detecting import detect, look
from appliance.inference.hardware.domain import Hardware, Processor
from appliance.inference.hardware.reading import LastLook
from appliance.inference.hardware.roots import Roots
from appliance.inference.hardware.table import lines, to_json
from tests.unit.inference.hardware.machines import CPUINFO_ARM, CPUINFO_X86, TWO_GPUS, Machine

GIB = 1 << 30


def test_a_machine_without_accelerators(machine: Machine) -> None:
    found = look(machine.roots)

    assert found.accelerators == ()
    assert found.notes == ()
    assert found.processor.cores == 2
    assert {"avx512_vnni", "amx_int8", "f16c"} <= found.processor.features
    assert "sse4_2" in found.processor.features
    assert found.memory_total == 65843212 << 10
    assert found.memory_available == 51200000 << 10
    assert found.runtimes == ("OpenVINOExecutionProvider", "CPUExecutionProvider")


def test_version_2_groups_bound_cores_and_memory_at_every_level(machine: Machine) -> None:
    machine.write("proc/self/cgroup", "0::/system.slice/millwright.service\n")
    machine.write("proc/self/status", "Cpus_allowed_list:\t0-7\n").write("proc/cpuinfo", CPUINFO_X86)
    base = "sys/fs/cgroup"
    machine.write(f"{base}/system.slice/cpu.max", "650000 100000\n")
    machine.write(f"{base}/system.slice/memory.max", f"{8 * GIB}\n")
    machine.write(f"{base}/system.slice/memory.current", f"{5 * GIB}\n")
    machine.write(f"{base}/system.slice/memory.stat", f"anon 1\ninactive_file {2 * GIB}\n")
    machine.write(f"{base}/system.slice/millwright.service/cpu.max", "max 100000\n")
    machine.write(f"{base}/system.slice/millwright.service/memory.max", "max\n")
    machine.write(f"{base}/system.slice/millwright.service/memory.current", "1\n")

    found = look(machine.roots)

    assert found.processor.cores == 6
    assert (found.memory_total, found.memory_available) == (8 * GIB, 5 * GIB)


def test_version_1_groups_bound_them_too_also_where_the_path_is_the_hosts(machine: Machine) -> None:
    machine.write("proc/self/cgroup", "4:memory:/docker/0123\n3:cpu,cpuacct:/docker/0123\n0::/\n")
    machine.write("proc/self/status", "Cpus_allowed_list:\t0-3,8\n")
    base = "sys/fs/cgroup"
    machine.write(f"{base}/memory/memory.limit_in_bytes", f"{4 * GIB}\n")
    machine.write(f"{base}/memory/memory.usage_in_bytes", f"{3 * GIB}\n")
    machine.write(f"{base}/memory/memory.stat", f"inactive_file 7\ntotal_inactive_file {GIB}\n")
    machine.write(f"{base}/cpu,cpuacct/cpu.cfs_quota_us", "50000\n")
    machine.write(f"{base}/cpu,cpuacct/cpu.cfs_period_us", "100000\n")

    found = look(machine.roots)

    assert found.processor.cores == 1
    assert (found.memory_total, found.memory_available) == (4 * GIB, 2 * GIB)


def test_no_limit_of_version_1_is_none(machine: Machine) -> None:
    machine.write("proc/self/cgroup", "4:memory:/\n3:cpu:/\n")
    machine.write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
    machine.write("sys/fs/cgroup/memory/memory.usage_in_bytes", "5\n")
    machine.write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n")
    machine.write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n")

    found = look(machine.roots)

    assert (found.processor.cores, found.memory_total) == (2, 65843212 << 10)


def test_of_an_arm_board_only_what_all_its_cores_can_is_said(machine: Machine) -> None:
    machine.write("proc/cpuinfo", CPUINFO_ARM)

    assert look(machine.roots).processor.features == {"neon", "fp16"}
    assert look(machine.roots).processor.name == "implementer 0x41, part 0xd42"
    machine.write("proc/device-tree/model", "Raspberry Pi 5 Model B Rev 1.0\0")
    assert look(machine.roots).processor.name == "Raspberry Pi 5 Model B Rev 1.0"


def test_where_nothing_can_be_read_nothing_is_made_up(tmp_path: Path) -> None:
    nowhere = tmp_path / "none"

    found = look(Roots(nowhere, nowhere, nowhere, nowhere, nowhere, str(nowhere)))

    assert found == Hardware(Processor("", 1), 0, 0, runtimes=("CPUExecutionProvider",))


def test_a_file_that_is_no_specification_is_noted(machine: Machine) -> None:
    machine.write("etc/cdi/broken.yaml", "kind: [").write("run/cdi/README", "not one")

    assert look(machine.roots).notes == ("broken.yaml is not a CDI specification, or may not be read.",)


class Closed(Roots):
    """Of a user who is not in the group: root, as tests may be, can open everything."""

    __slots__ = ()

    def may_use(self, node: str) -> bool:
        return node != "/dev/nvidia0"


def test_a_device_whose_file_may_not_be_used_is_noted_with_its_group(machine: Machine) -> None:
    machine.nvidia("0000:01:00.0", 0, "GPU-11111111-aaaa-bbbb-cccc-000000000001", "NVIDIA GeForce RTX 4090")
    machine.smi(TWO_GPUS.splitlines()[0])
    assert look(machine.roots).notes == ()

    (note,) = look(Closed(*(getattr(machine.roots, one.name) for one in fields(Roots)))).notes

    assert "NVIDIA GeForce RTX 4090: this user may not use /dev/nvidia0, which belongs to the group" in note


def test_looking_does_not_hold_up_the_loop(machine: Machine) -> None:
    async def both() -> int:
        looking = asyncio.create_task(detect(machine.roots))
        turns = 0
        while not looking.done():
            turns += 1
            await asyncio.sleep(0.01)
        return turns

    machine.nodes("nvidiactl").program(f"#!/bin/sh\nsleep 0.3; cat {machine.folder}/rows\n").write(
        "rows", TWO_GPUS
    )
    assert asyncio.run(both()) >= 5


def test_a_program_that_does_not_go_away_is_not_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    hanging = subprocess.Popen(["sleep", "30"])
    try:
        monkeypatch.setitem(asking._stuck, "sleep", hanging)
        assert "hangs since" in asking.ask(["sleep", "0"], 5).trouble
    finally:
        hanging.kill()
        hanging.wait()
    assert asking.ask(["sleep", "0"], 5).status == 0


def test_onnxruntime_is_asked_outside_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "onnxruntime"
    package.mkdir()
    (package / "__init__.py").write_text(
        "print('a warning')\n"
        "def get_available_providers(): return ['MIGraphXExecutionProvider', 'CPUExecutionProvider']\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))

    found = onnx.runtimes((), Processor("", 1))

    assert found == onnx.Runtimes(("MIGraphXExecutionProvider", "CPUExecutionProvider"), True)
    assert "onnxruntime" not in sys.modules


def test_an_onnxruntime_that_does_not_load_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "onnxruntime").mkdir()
    (tmp_path / "onnxruntime/__init__.py").write_text("raise ImportError('libcudnn.so.9')")
    monkeypatch.syspath_prepend(str(tmp_path))

    found = onnx.runtimes((), Processor("", 1))

    assert (found.names, found.asked) == (("CPUExecutionProvider",), False)
    assert "did not say" in found.notes[0]


def test_the_table_and_the_json_say_null_where_nothing_is_known(machine: Machine) -> None:
    machine.nodes("nvidiactl").smi(TWO_GPUS.replace("24564, 512", "[N/A], [N/A]"))
    found = look(machine.roots)

    text = "\n".join(lines(found))
    sizes = [device["memory_total"] for device in json.loads(json.dumps(to_json(found)))["accelerators"]]

    assert "RTX 4090: unknown, unknown used" in text
    assert "RTX A2000 12GB: 12.0 GiB, 0.0 GiB used" in text
    assert sizes == [None, 12282 << 20]


def test_the_machine_is_looked_at_once_in_five_seconds_and_nobody_waits_for_another() -> None:
    now, looks = [0.0], [0]
    go = threading.Event()
    go.set()

    def slow() -> Hardware:
        looks[0] += 1
        assert go.wait(5)
        return Hardware(Processor("", looks[0]), 0, 0)

    last = LastLook(slow, 5.0, lambda: now[0])
    assert [last.get().processor.cores, last.get().processor.cores] == [1, 1]
    now[0] = 5.0
    go.clear()
    other = threading.Thread(target=last.get)
    other.start()
    while looks[0] < 2:
        time.sleep(0)
    assert last.get().processor.cores == 1
    go.set()
    other.join()
    assert last.get().processor.cores == 2
