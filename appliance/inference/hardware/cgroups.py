"""The control groups that hold this process, of version 1, 2, or both side by side."""

from pathlib import Path

from appliance.inference.hardware.roots import Roots, text_of


def folders(roots: Roots, controller: str) -> list[Path]:
    """Its own group first, then those around it: each may limit. Groups that are not shown here are left out."""
    base = roots.sys / "fs/cgroup"
    found: list[Path] = []
    for line in text_of(roots.proc / "self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if number == "0" and not names:
            mount = base / "unified" if (base / "unified").is_dir() else base
        elif controller in names.split(","):
            mount = base / controller if (base / controller).is_dir() else base / names
        else:
            continue
        found += [folder for folder in _upwards(mount, path) if folder.is_dir()]
    return found


def _upwards(mount: Path, path: str) -> list[Path]:
    # In a container the path may be the host's, which is not below this mount, or lead out of it.
    parts = [part for part in path.split("/") if part not in ("", ".", "..")]
    return [mount.joinpath(*parts[:length]) for length in range(len(parts), -1, -1)]
