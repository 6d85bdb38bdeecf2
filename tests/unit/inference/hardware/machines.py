"""Machines as their kernels and drivers show them: trees of files, and an nvidia-smi that says what one said."""

import json
from collections.abc import Mapping
from pathlib import Path

from appliance.inference.hardware.roots import Roots

CPUINFO_X86 = """\
processor\t: 0
vendor_id\t: GenuineIntel
model name\t: Intel(R) Xeon(R) Platinum 8480+
flags\t\t: fpu sse4_2 ssse3 fma f16c avx avx2 bmi2 avx512f avx512_vnni amx_tile amx_int8 amx_bf16

processor\t: 1
vendor_id\t: GenuineIntel
model name\t: Intel(R) Xeon(R) Platinum 8480+
flags\t\t: fpu sse4_2 ssse3 fma f16c avx avx2 bmi2 avx512f avx512_vnni amx_tile amx_int8 amx_bf16
"""
CPUINFO_ARM = """\
processor\t: 0
BogoMIPS\t: 62.50
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp
CPU implementer\t: 0x41
CPU part\t: 0xd42

processor\t: 1
BogoMIPS\t: 62.50
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop
CPU implementer\t: 0x41
CPU part\t: 0xd42
"""
MEMINFO = "MemTotal:       65843212 kB\nMemFree:         1203344 kB\nMemAvailable:   51200000 kB\n"

H100_WITH_MIG = """\
0, NVIDIA H100 80GB HBM3, GPU-0a1b2c3d-1111-2222-3333-444455556666, 00000000:1B:00.0, 81559, 87, 550.54.15, 9.0, Enabled
1, NVIDIA H100 80GB HBM3, GPU-9f8e7d6c-1111-2222-3333-444455556666, 00000000:43:00.0, 81559, 1204, 550.54.15, 9.0, Disabled
"""  # noqa: E501
H100_PARTS = """\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-0a1b2c3d-1111-2222-3333-444455556666)
  MIG 3g.40gb     Device  0: (UUID: MIG-5b3c1b2e-aaaa-5bbb-8ccc-1234567890ab)
  MIG 1g.10gb     Device  1: (UUID: MIG-6c4d2c3f-aaaa-5bbb-8ccc-1234567890ab)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-9f8e7d6c-1111-2222-3333-444455556666)
"""
TWO_GPUS = """\
0, NVIDIA GeForce RTX 4090, GPU-11111111-aaaa-bbbb-cccc-000000000001, 00000000:01:00.0, 24564, 512, 560.35.03, 8.9, [N/A]
1, NVIDIA RTX A2000 12GB, GPU-22222222-aaaa-bbbb-cccc-000000000002, 00000000:41:00.0, 12282, 3, 560.35.03, 8.6, [N/A]
"""  # noqa: E501
SPARK = "0, NVIDIA GB10, GPU-2dee1e25-b3b5-007e-2b55-79f2d0f2ebe5, 0000000F:01:00.0, [N/A], [N/A], 580.95.05, 12.1, [N/A]\n"  # noqa: E501
ORIN = "0, Orin (nvgpu), [N/A], [N/A], [N/A], [N/A], 540.3.0, 8.7, [N/A]\n"
NOT_VALID = 'Field "compute_cap" is not a valid field to query.\n'
NO_DRIVER = (
    "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest "
    "NVIDIA driver is installed and running.\n"
)

KFD_CPU = "cpu_cores_count 16\nsimd_count 0\nmem_banks_count 1\ngfx_target_version 0\nvendor_id 0\ndrm_render_minor 0\nunique_id 0\n"  # noqa: E501
KFD_7900 = """\
cpu_cores_count 0
simd_count 192
mem_banks_count 1
simd_arrays_per_engine 2
gfx_target_version 110000
vendor_id 4098
device_id 29772
location_id 768
domain 0
drm_render_minor 128
unique_id 12398127341234567890
local_mem_size 0
"""
KFD_MI300A = (
    KFD_7900.replace("110000", "90402").replace("29772", "29856").replace("12398127341234567890", "0")
)
KFD_PHOENIX = KFD_7900.replace("110000", "110003").replace("12398127341234567890", "0")

CDI_NVIDIA = """\
cdiVersion: 0.5.0
kind: nvidia.com/gpu
containerEdits:
  deviceNodes:
    - path: /dev/nvidiactl
devices:
  - name: "0"
    containerEdits:
      deviceNodes:
        - path: /dev/nvidia0
  - name: GPU-11111111-aaaa-bbbb-cccc-000000000001
    containerEdits:
      deviceNodes:
        - path: /dev/nvidia0
  - name: "1"
    containerEdits:
      deviceNodes:
        - path: /dev/nvidia1
  - name: all
    containerEdits:
      deviceNodes:
        - path: /dev/nvidia0
        - path: /dev/nvidia1
"""
CDI_AMD = json.dumps(
    {
        "cdiVersion": "0.6.0",
        "kind": "amd.com/gpu",
        "devices": [
            {"name": "all", "containerEdits": {"deviceNodes": [
                {"path": "/dev/kfd"}, {"path": "/dev/dri/renderD128"}, {"path": "/dev/dri/renderD129"}]}},
            {"name": "0", "containerEdits": {"deviceNodes": [
                {"path": "/dev/kfd"}, {"path": "/dev/dri/renderD128"}]}},
        ],
    }
)  # fmt: skip


class Machine:
    """A tree to fill. ``roots`` looks at it and at nothing else."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        sys, proc, dev, etc, run = (folder / name for name in ("sys", "proc", "dev", "etc", "run"))
        self.roots = Roots(sys, proc, dev, etc, run, str(folder / "bin"))
        self.write("proc/cpuinfo", CPUINFO_X86)
        self.write("proc/meminfo", MEMINFO)
        self.write("proc/self/status", "Name:\tpython\nCpus_allowed_list:\t0-1\n")

    def write(self, path: str, text: str = "") -> "Machine":
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return self

    def nodes(self, *names: str) -> "Machine":
        for name in names:
            self.write(f"dev/{name}")
        return self

    def card(
        self, slot: str, ids: str, kind: str, driver: str = "", drm: tuple[str, ...] = (), **files: str
    ) -> "Machine":
        """A PCI function with its uevent, and the same one behind each of its names in ``/sys/class``."""
        lines = [f"DRIVER={driver}"] * bool(driver)
        lines += [f"PCI_CLASS={kind}", f"PCI_ID={ids}", "PCI_SUBSYS_ID=0000:0000", f"PCI_SLOT_NAME={slot}"]
        pci = self.folder / "sys/bus/pci/devices" / slot
        for name, text in {"uevent": "\n".join(lines) + "\n", **files}.items():
            self.write(f"sys/bus/pci/devices/{slot}/{name}", text)
        for name in drm:
            group = "accel" if name.startswith("accel") else "drm"
            link = self.folder / "sys/class" / group / name / "device"
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(pci)
        return self

    def smi(self, answers: Mapping[str, str] | str, status: int = 0) -> "Machine":
        """An nvidia-smi. ``answers``: by the word that its arguments hold; text alone answers everything."""
        known = {"": answers} if isinstance(answers, str) else answers
        lines = ["#!/bin/sh"]
        for number, (word, text) in enumerate(known.items()):
            self.write(f"answers/{number}", text)
            lines.append(f'case "$*" in *"{word}"*) cat {self.folder}/answers/{number}; exit {status};; esac')
        return self.program("\n".join(lines) + "\n")

    def program(self, script: str) -> "Machine":
        self.write("bin/nvidia-smi", script)
        (self.folder / "bin/nvidia-smi").chmod(0o755)
        return self

    def nvidia(self, slot: str, minor: int, uuid: str, model: str, ids: str = "10DE:2684") -> "Machine":
        """A card with NVIDIA's driver."""
        self.card(slot, ids, "30000", "nvidia")
        text = f"Model: \t\t {model}\nGPU UUID: \t {uuid}\nBus Type: \t PCIe\nDevice Minor: \t {minor}\n"
        self.write(f"proc/driver/nvidia/gpus/{slot}/information", text)
        return self.nodes(f"nvidia{minor}", "nvidiactl", "nvidia-uvm")
