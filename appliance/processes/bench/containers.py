"""A command in a container from the warm pool, from the request at guard's door to its result."""

import asyncio
import io
import itertools
import json
import shutil
import statistics
import tarfile
import time
from contextlib import closing, suppress
from pathlib import Path

from appliance.lib.errors import MillwrightError
from appliance.processes.bench.box import Box
from appliance.processes.bench.rows import Row
from appliance.processes.guard.presence import absence
from appliance.sandbox.docker.client import DockerSandbox, GuardClient, Where
from appliance.sandbox.ports import Job

TIMES = 40
READY_SECONDS = 20.0
_NAME, _BAR = "shell_docker_p50_ms", 150


def containers(box: Box) -> list[Row]:
    """``/bin/true`` in a container that was made ahead. Without an engine or a static busybox: a note."""
    why = absence(box.config) or ("" if _busybox() else "no static busybox to make an image of")
    if why:
        return [_row(None, why)]
    import docker

    with closing(docker.APIClient(box.config.container_engine, version="1.41")) as client:
        said = client.import_image_from_data(_image())
        image = str(json.loads(said.strip().splitlines()[-1])["status"])
        try:
            seconds = asyncio.run(_measure(box, image))
        except (MillwrightError, TimeoutError) as error:
            return [_row(None, str(error))]
        finally:
            # The container that guard keeps ready has it still; it goes with the box, the image with the next tidying.
            with suppress(docker.errors.APIError):
                client.remove_image(image, force=True)
    return [_row(round(statistics.median(seconds) * 1000, 1))]


def _row(value: float | None, note: str = "") -> Row:
    return Row(_NAME, value, "ms", "lower", _BAR, note=note)


async def _measure(box: Box, image: str) -> list[float]:
    sandbox = DockerSandbox(box.config.home.guard_socket, Where(image))
    guard, job = GuardClient(box.config.home.guard_socket), Job(("/bin/true",))
    await sandbox.run(job)
    found = []
    for _ in range(TIMES):
        await _made_ahead(guard)
        began = time.perf_counter()
        await sandbox.run(job)
        found.append(time.perf_counter() - began)
    return found


async def _made_ahead(guard: GuardClient) -> None:
    """Raises TimeoutError."""
    async with asyncio.timeout(READY_SECONDS):
        for _ in itertools.repeat(None):
            if (await guard.ask("probe"))["ready"]:
                return
            await asyncio.sleep(0.05)


def _busybox() -> Path | None:
    found = shutil.which("busybox")
    # A dynamic one names its loader near the beginning.
    return Path(found) if found and b"/ld-" not in Path(found).read_bytes()[:4096] else None


def _image() -> bytes:
    content, binary = io.BytesIO(), _busybox()
    assert binary
    with tarfile.open(fileobj=content, mode="w") as tar:
        tar.add(binary, "bin/busybox")
        for name in ("sh", "true"):
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    return content.getvalue()
