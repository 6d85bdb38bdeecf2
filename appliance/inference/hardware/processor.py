"""The processor: how many of its cores this box may use, and which of its instructions matter to engines."""

from collections.abc import Iterator
from pathlib import Path

from appliance.inference.hardware import cgroups
from appliance.inference.hardware.domain import Processor
from appliance.inference.hardware.roots import Roots, number_of, pairs, text_of, whole

_X86 = frozenset({
    "sse4_2", "ssse3", "avx", "avx2", "avx_vnni", "avx512f", "avx512bw", "avx512vl", "avx512_vnni", "avx512_bf16",
    "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16", "amx_fp16", "f16c", "fma", "bmi2",
})  # fmt: skip
_ARM = {
    "asimd": "neon", "asimddp": "dotprod", "asimdhp": "fp16", "i8mm": "i8mm", "bf16": "bf16",
    "sve": "sve", "sve2": "sve2", "sme": "sme",
}  # fmt: skip


def parse_cpuinfo(text: str) -> tuple[str, frozenset[str]]:
    """Its name, and the features that all of its cores have: an engine's thread may run on any of them."""
    blocks = [known for block in text.split("\n\n") if (known := pairs(block, ":"))]
    features = [found for known in blocks if (found := _features(known)) is not None]
    names = (_name(known) for known in blocks)
    shared = frozenset.intersection(*features) if features else frozenset()
    return next((name for name in names if name), ""), shared


def _features(known: dict[str, str]) -> frozenset[str] | None:
    if "flags" in known:
        return _X86.intersection(known["flags"].split())
    if "Features" in known:
        return frozenset(_ARM[word] for word in known["Features"].split() if word in _ARM)
    if "isa" in known:
        letters = known["isa"].partition("_")[0].removeprefix("rv64").removeprefix("rv32")
        return frozenset({"rvv"} if "v" in letters else ())
    return None


def _name(known: dict[str, str]) -> str:
    return known.get("model name") or known.get("Model") or known.get("uarch") or ""


def parse_list(text: str) -> int | None:
    """How many processors a list such as ``0-3,8`` has; None for no list."""
    count = 0
    for part in text.strip().split(","):
        first, middle, last = part.partition("-")
        low, high = whole(first), whole(last if middle else first)
        if low is None or high is None or high < low:
            return None
        count += high - low + 1
    return count


def read(roots: Roots) -> Processor:
    cpuinfo = text_of(roots.proc / "cpuinfo")
    name, features = parse_cpuinfo(cpuinfo)
    allowed = parse_list(pairs(text_of(roots.proc / "self/status"), ":").get("Cpus_allowed_list", ""))
    cores = allowed or sum(line.startswith("processor") for line in cpuinfo.splitlines()) or 1
    quotas = (quota for folder in cgroups.folders(roots, "cpu") for quota in _quota(folder))
    # Half a core more than a whole number is no further thread: it would wait for its time each tenth of a second.
    cores = max(1, int(min([cores, *quotas])))
    return Processor(name or _board(roots, cpuinfo), cores, features)


def _quota(folder: Path) -> Iterator[float]:
    """Cores that a group may use, by its time in each period; version 2 writes both into one file."""
    time, _, period = text_of(folder / "cpu.max").partition(" ")
    found = (whole(time), whole(period))
    if not time:
        found = (number_of(folder / "cpu.cfs_quota_us"), number_of(folder / "cpu.cfs_period_us"))
    if found[0] and found[1]:
        yield found[0] / found[1]


def _board(roots: Roots, cpuinfo: str) -> str:
    """Where cpuinfo has no name, as on most of ARM: the board, else the numbers of the core as they stand there."""
    if board := text_of(roots.proc / "device-tree/model").strip("\0\n "):
        return board
    known = pairs(cpuinfo, ":")
    maker, part = known.get("CPU implementer"), known.get("CPU part")
    return f"implementer {maker}, part {part}" if maker and part else ""
