"""A GGUF file from a web server, with its other parts where it is split."""

from pathlib import PurePosixPath

import httpx

from appliance.inference.catalogue.fetching import Fetcher, Remote
from appliance.inference.catalogue.manifest import ModelFile
from appliance.inference.catalogue.reading.facts import Unreadable
from appliance.inference.catalogue.reading.folder import check_name, shards
from appliance.inference.catalogue.staging import Staging
from appliance.inference.errors import ModelRefused


def remotes(url: str, sha256: str) -> list[Remote]:
    """Raises ModelRefused."""
    address = httpx.URL(url)
    name = PurePosixPath(address.path).name
    try:
        check_name(name)
        parts = shards(name)
    except Unreadable as error:
        raise ModelRefused(str(error)) from error
    if not name.endswith(".gguf"):
        raise ModelRefused(
            "only GGUF files come alone by a URL",
            hint="a model of safetensors is many files: give its repository, git+https://…",
        )
    if parts is None:
        return [Remote(url, name, sha256=sha256)]
    if sha256:
        raise ModelRefused("--sha256 is of one file, and this model is split into several")
    return [Remote(str(address.join(part)), part) for part in parts]


def download(wanted: list[Remote], fetcher: Fetcher, staging: Staging) -> list[ModelFile]:
    """One after the other; after a cut the one that was on its way goes on. Raises as ``Fetcher.fetch``."""
    found = []
    for remote in wanted:
        target = staging.files / remote.name
        digest = fetcher.fetch(remote, target)
        found.append(ModelFile(path=remote.name, size=target.stat().st_size, sha256=digest))
    return found
