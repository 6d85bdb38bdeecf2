"""What guard does with the requests about models: check them against the box's settings, make, look, stop."""

import os
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from appliance.lib.digest import sha256_hex
from appliance.lib.model_images import ModelImage
from appliance.sandbox.docker import model_blueprint as labels
from appliance.sandbox.docker.blueprint import HOME_LABEL, Device
from appliance.sandbox.docker.engine import Engine, EngineRefused
from appliance.sandbox.docker.model_blueprint import ModelBlueprint, creation
from appliance.sandbox.docker.model_cache import open_cache
from appliance.sandbox.docker.model_request import (
    ModelDevice,
    ModelList,
    ModelLog,
    ModelLook,
    ModelRequest,
    ModelStart,
    ModelStop,
)
from appliance.sandbox.docker.mounts import Mount, close
from appliance.sandbox.errors import SandboxUnavailable
from appliance.sandbox.process.request import Refused

if TYPE_CHECKING:
    import docker

Facts = dict[str, object]
_NAME = re.compile(r"mw-(?P<home>[a-z0-9]+)-.*")


class ModelContainers:
    """``models`` is the folder of this home below which models lie, ``cache`` where engines keep what they compiled;
    ``images`` what the box's settings name; so does ``network``, where the box is in containers itself and could not
    reach into one that guard makes."""

    def __init__(
        self,
        engine: Engine,
        home_id: str,
        models: Path,
        cache: Path,
        images: tuple[ModelImage, ...],
        uid: int,
        gid: int,
        network: str = "",
    ) -> None:
        self._engine = engine
        self._given = network
        self._home_id = home_id
        self._models, self._cache = models, cache
        self._images: Mapping[str, ModelImage] = {one.image: one for one in images}
        self._uid, self._gid = uid, gid

    @property
    def network(self) -> str:
        return self._given or f"millwright-{self._home_id}-models"

    async def answer(self, request: ModelRequest) -> Facts:
        """Raises Refused, SandboxUnavailable."""
        try:
            match request:
                case ModelStart():
                    return await self._start(request)
                case ModelStop():
                    return await self._stop(request)
                case ModelLook():
                    return await self._look(self._own(request.name), stats=request.stats)
                case ModelLog():
                    return await self._log(request)
                case ModelList():
                    return await self._list()
        except EngineRefused as error:
            raise SandboxUnavailable(f"The container engine refused: {error.said}.") from error

    async def _start(self, request: ModelStart) -> Facts:

        settings = self._settings_of(request)
        image = await self._engine.image(request.image)
        await self._engine.call(self._check_network)
        mounts = [self._open(request)]
        try:
            mounts.append(self._open_cache(settings))
            blueprint = ModelBlueprint(
                request,
                sha256_hex(request.model_dump_json()),
                f"mw-{self._home_id}-{request.model}-g{request.generation}",
                self._home_id,
                image,
                settings,
                mounts[0].source,
                mounts[1].source,
                self.network,
                self._uid,
                self._gid,
                (await self._engine.facts()).cdi,
                _nodes(request.device),
            )
            await self._begin(blueprint, mounts)
        finally:
            close(mounts)
        return await self._look(blueprint.name)

    def _check_network(self, client: "docker.APIClient") -> None:
        """Raises Refused."""
        from appliance.sandbox.docker import model_library as library

        if self._given:
            library.given_network(client, self._given)
        else:
            library.own_network(client, self.network, {HOME_LABEL: self._home_id})

    async def _begin(self, blueprint: ModelBlueprint, mounts: Sequence[Mount]) -> None:
        """Make it and start it; one that a request like this has made already is only started where it was not."""
        from appliance.sandbox.docker import model_library as library

        name = blueprint.name

        def begin(client: "docker.APIClient") -> int:
            if not library.make(client, name, creation(blueprint)):
                known = library.seen(client, name) or {}
                if ((known.get("Config") or {}).get("Labels") or {}).get(labels.SPEC_LABEL) != blueprint.spec:
                    raise Refused(f"There is another container of the name {name}.", f"`docker rm -f {name}`")
                if known["State"]["Status"] != "created":
                    return 0
            try:
                library.begin(client, name, blueprint.request.files, *blueprint.user)
            except SandboxUnavailable:
                library.end(client, name, 0)
                raise
            return int((library.seen(client, name) or {}).get("State", {}).get("Pid") or 0)

        pid = await self._engine.call(begin)
        if pid and any(_is_another(mount, pid) for mount in mounts):
            await self._engine.call(lambda client: library.end(client, name, 0))
            raise Refused("The model's folder, or its cache, was exchanged for another meanwhile.")

    async def _stop(self, request: ModelStop) -> Facts:
        from appliance.sandbox.docker import model_library as library

        name = self._own(request.name)
        if await self._seen(name) is not None:
            await self._engine.call(lambda client: library.end(client, name, request.grace))
        return {"stopped": True}

    async def _look(self, name: str, *, stats: bool = False) -> Facts:
        from appliance.sandbox.docker import model_library as library

        found = await self._seen(name)
        if found is None:
            return {"name": name, "state": "absent"}
        memory = await self._engine.call(lambda client: library.memory(client, name)) if stats else None
        last = await self._engine.call(lambda client: library.last_lines(client, name, 1, times=True))
        return {**_told(name, found, self.network), "progress": last.strip()[-500:], "memory": memory}

    async def _log(self, request: ModelLog) -> Facts:
        from appliance.sandbox.docker import model_library as library

        name = self._own(request.name)
        if await self._seen(name) is None:
            return {"log": ""}
        return {
            "log": await self._engine.call(lambda client: library.last_lines(client, name, request.lines))
        }

    async def _list(self) -> Facts:
        from appliance.sandbox.docker import model_library as library

        rows = await self._engine.call(lambda client: library.all_of(client, self._home_id))
        names = [str(row["Names"][0]).lstrip("/") for row in rows]
        found = [(name, await self._seen(name)) for name in names]
        return {"models": [_told(name, one, self.network) for name, one in found if one is not None]}

    async def _seen(self, name: str) -> dict[str, Any] | None:
        """What the engine says of a model's container of this home; of nothing else that has such a name."""
        from appliance.sandbox.docker import model_library as library

        found = await self._engine.call(lambda client: library.seen(client, name))
        own = ((found or {}).get("Config") or {}).get("Labels") or {}
        if found is None or own.get(HOME_LABEL) != self._home_id or labels.MODEL_LABEL not in own:
            return None
        return found

    def _own(self, name: str) -> str:
        read = _NAME.fullmatch(name)
        if read is None or read["home"] != self._home_id:
            raise Refused(f"{name} is no model's container of this box.")
        return name

    def _settings_of(self, request: ModelStart) -> ModelImage:
        settings = self._images.get(request.image)
        if settings is None:
            raise Refused(
                f"The image {request.image} is none that the box's settings name for models.",
                "An administrator names them, by digest, in MILLWRIGHT_MODEL_IMAGES.",
            )
        program = labels.PROGRAMS.get(settings.engine)
        if program is None:
            raise Refused(f"{settings.engine} is a tool for models, and serves none.")
        if request.argv[: len(program)] != program:
            raise Refused(f"An image of {settings.engine} runs `{' '.join(program)}`, and nothing else.")
        return settings

    def _open_cache(self, settings: ModelImage) -> Mount:
        """What an image compiled is of use to the same image alone."""
        return open_cache(self._cache, settings.image.rpartition(":")[2][:16], labels.CACHE)

    def _open(self, request: ModelStart) -> Mount:
        """The model's folder, held open: one of this box's models, whatever links lead there."""
        try:
            fd = os.open(request.folder, os.O_PATH | os.O_CLOEXEC | os.O_DIRECTORY)
        except OSError as error:
            raise Refused(f"{request.folder} cannot be mounted: {error.strerror}.") from error
        real = str(Path(f"/proc/self/fd/{fd}").readlink())
        root = os.path.realpath(self._models)
        if not real.startswith(f"{root}/"):
            os.close(fd)
            raise Refused(f"{request.folder} does not lie below {self._models}, where models are.")
        return Mount(f"{labels.MODELS}/{request.model}", real, fd, writable=False)


def _is_another(mount: Mount, pid: int) -> bool:
    """Whether the container has another folder. One that has ended has no root to look into any more."""
    return not mount.is_in(pid) and Path(f"/proc/{pid}").exists()


def _nodes(device: ModelDevice | None) -> tuple[Device, ...]:
    """The device files of one that is known by nothing else."""
    if device is None or device.cdi or device.nvidia:
        return ()
    found = []
    for path in device.nodes:
        try:
            state = Path(path).stat()
        except OSError as error:
            raise SandboxUnavailable(f"The device {path} is not there: {error.strerror}.") from error
        if not stat.S_ISCHR(state.st_mode):
            raise Refused(f"{path} is not a character device.")
        found.append(Device(path, state.st_gid))
    return tuple(found)


def _told(name: str, found: Mapping[str, Any], network: str) -> Facts:
    state, own = found["State"], found["Config"]["Labels"]
    networks = (found.get("NetworkSettings") or {}).get("Networks") or {}
    return {
        "name": name,
        "id": found["Id"],
        "model": own[labels.MODEL_LABEL],
        "generation": int(own[labels.GENERATION_LABEL]),
        "engine": own[labels.ENGINE_LABEL],
        "plan": own[labels.PLAN_LABEL],
        "state": state["Status"],
        "started_at": state.get("StartedAt") or "",
        "exit_status": int(state["ExitCode"]),
        "out_of_memory": bool(state.get("OOMKilled")),
        "error": str(state.get("Error") or "")[:500],
        "address": str((networks.get(network) or {}).get("IPAddress") or ""),
        "port": int(own[labels.PORT_LABEL]),
    }
