"""What came of watching a job: its record, and what of it its author had not declared."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath

from appliance.sandbox.ebpf.record import CUT, Observed

_OWN_SHELL = "/bin/sh"
_SYSTEM = {"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}


class Undeclared(StrEnum):
    """What becomes of a job whose author has not said which network it needs."""

    ALLOW = "allow"
    AMBER = "amber"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Watched:
    """``reason`` says why there is no record, where there is none. ``findings`` are sentences."""

    observed: Observed | None
    reason: str = ""
    findings: tuple[str, ...] = ()


def findings(
    observed: Observed,
    network: Sequence[str] | None,
    programs: Sequence[str] | None,
    command: Sequence[str],
    undeclared: Undeclared = Undeclared.ALLOW,
) -> tuple[str, ...]:
    """What a job did, or tried, beyond what its author declared; ``command`` is what it was to execute.

    An author who declares nothing is compared with nothing, unless the box's settings say so.
    """
    found: list[str] = []
    if network is not None or undeclared is not Undeclared.ALLOW:
        found += _contacts(observed, everything=network is None and undeclared is Undeclared.AMBER)
        found += [f"{one.what}: refused" for one in observed.refusals]
    if programs is not None:
        known = {_OWN_SHELL, *command, *programs}
        found += [f"executed {path}" for path in _unknown(observed, known)]
    if (network is not None or programs is not None) and (observed.lost or observed.more):
        found.append(f"{observed.lost + observed.more} more that were not recorded")
    return tuple(found)


def _contacts(observed: Observed, *, everything: bool) -> Iterator[str]:
    told = set()
    for one in observed.contacts:
        said = f"reached for {one.where} ({one.protocol})" if one.protocol else f"reached for {one.where}"
        if one.denied:
            said += ": denied"
        undeclared = one.denied and one.by != CUT  # what the all-stop alone denies is its author's right
        if (undeclared or everything) and said not in told:
            told.add(said)
            yield said


def _unknown(observed: Observed, known: set[str]) -> Iterator[str]:
    """A path must be just that one; a name is the program of that name in a folder of the system, which no job can
    write: one that a job made itself under such a name is another, also where it was found beside the job (an empty
    part of PATH) and the kernel tells its name alone."""
    for one in observed.executed:
        path = PurePosixPath(one.path)
        named = "/" in one.path and one.path in known
        if not named and not (path.name in known and str(path.parent) in _SYSTEM):
            yield one.path
