"""Large files of a git repository, by the pointers that lie in their place and the server's batch interface.

https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md and docs/api/batch.md
"""

import json
import re
from pathlib import Path
from typing import Any

import httpx

from appliance.inference.catalogue.fetching import Remote
from appliance.inference.catalogue.outside import Outside
from appliance.inference.errors import ImportInterrupted, ModelRefused

_LONGEST_POINTER, _LONGEST_ANSWER = 1024, 8 << 20
_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n(?:ext-[^\n]*\n)*oid sha256:([0-9a-f]{64})\nsize (\d{1,18})\n"
)
_KIND = "application/vnd.git-lfs+json"


def read_pointer(path: Path) -> tuple[str, int] | None:
    """SHA-256 and size of the file that it stands for; None for a file that is no pointer."""
    if path.stat().st_size > _LONGEST_POINTER:
        return None
    found = _POINTER.fullmatch(path.read_bytes())
    return (found[1].decode(), int(found[2])) if found else None


def locate(repository: str, wanted: dict[str, tuple[str, int]], outside: Outside) -> list[Remote]:
    """Where each file lies, by its name in the repository. Raises ModelRefused, ImportInterrupted."""
    if not wanted:
        return []
    asked = {
        "operation": "download",
        "transfers": ["basic"],
        "hash_algo": "sha256",
        "objects": [{"oid": oid, "size": size} for oid, size in sorted(set(wanted.values()))],
    }
    root = repository.rstrip("/")
    address = (
        f"{root}/info/lfs/objects/batch" if root.endswith(".git") else f"{root}.git/info/lfs/objects/batch"
    )
    try:
        answer = outside.post(address, json.dumps(asked).encode(), {"Accept": _KIND, "Content-Type": _KIND})
    except httpx.TransportError as error:
        raise ImportInterrupted(f"the repository's large files cannot be asked for: {error}") from error
    places = _places(answer)
    return [_remote(name, oid, size, places) for name, (oid, size) in sorted(wanted.items())]


def _places(answer: httpx.Response) -> dict[str, dict[str, Any]]:
    if answer.status_code != httpx.codes.OK or len(answer.content) > _LONGEST_ANSWER:
        raise ModelRefused(
            f"the server answers {answer.status_code} when asked for the repository's large files"
        )
    try:
        return {one["oid"]: one for one in answer.json()["objects"]}
    except (ValueError, KeyError, TypeError) as error:
        raise ModelRefused("the server's answer about the repository's large files is wrong") from error


def _remote(name: str, oid: str, size: int, places: dict[str, dict[str, Any]]) -> Remote:
    place = places.get(oid, {})
    action = (place.get("actions") or {}).get("download") if isinstance(place, dict) else None
    href = action.get("href") if isinstance(action, dict) else None
    if not isinstance(href, str):
        raise ModelRefused(f"the server does not have {name}, which the repository names")
    header = action.get("header") if isinstance(action, dict) else None
    headers = header.items() if isinstance(header, dict) else ()
    return Remote(href, name, size, oid, tuple((str(key), str(value)) for key, value in headers))
