"""Whether the box may open the files of its devices."""

import grp
from collections.abc import Iterable

from appliance.inference.hardware.domain import Accelerator
from appliance.inference.hardware.roots import Roots
from appliance.lib.said import say


def closed(roots: Roots, devices: Iterable[Accelerator]) -> tuple[str, ...]:
    """A sentence for each device of which this process may not use a file: with the group that may."""
    found = []
    for device in devices:
        shut = [node for node in device.nodes if not roots.may_use(node)]
        if shut:
            found.append(
                say(
                    "%(name)s: this user may not use %(nodes)s, which belongs to the group %(group)s.",
                    name=device.name,
                    nodes=", ".join(shut),
                    group=_group(roots, shut[0]),
                )
            )
    return tuple(found)


def _group(roots: Roots, node: str) -> str:
    try:
        number = (roots.dev / node.removeprefix("/dev/")).stat().st_gid
    except OSError:
        return "?"
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
