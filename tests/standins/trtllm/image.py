"""The stand-in as a container image: this machine's Python, llama.cpp's wheel, and a script, ``trtllm-serve``."""

import io
import re
import subprocess
import sys
import tarfile
from importlib.util import find_spec
from pathlib import Path

from tests.container_engine import PrivateEngine, import_image

SERVE = Path(__file__).with_name("trtllm_serve.py")
PACKAGES = "/opt/packages"
_LEFT_OUT = re.compile(
    r"/(__pycache__|test|tests|idlelib|lib2to3|tkinter|turtledemo|ensurepip|distutils|config-[^/]*)(/|$)"
)
_ENTRY = "usr/bin/trtllm-serve"
_PATH = "PATH=/usr/local/bin:/usr/bin:/bin"


def build(engine: PrivateEngine) -> str:
    """The image's id. It holds no shell, as little else that an engine does not need."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", dereference=True) as tar:
        for name in ("tmp", "work", "cache", "models", "proc", "sys", "dev", "etc"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        python = Path(sys.executable).resolve()
        library = Path(f"{sys.base_prefix}/lib/python{sys.version_info.major}.{sys.version_info.minor}")
        _add(tar, python, "usr/bin/python3")
        _add(tar, library, str(library).lstrip("/"))
        binaries = [python, *library.glob("lib-dynload/*.so")]
        for package in ("xllamacpp", "yaml"):
            folder = Path(str(find_spec(package).origin)).parent  # type: ignore[union-attr]
            _add(tar, folder, f"{PACKAGES}/{package}".lstrip("/"))
            binaries += folder.glob("*.so")
        for file in _libraries(binaries):
            _add(tar, file, str(file).lstrip("/"))
        _write(tar, _ENTRY, f"#!/usr/bin/python3 -I\nimport sys\nsys.path.append('{PACKAGES}')\n{_body()}")
    with engine.client() as client:
        return import_image(client, content.getvalue(), f"ENV {_PATH}")


def _body() -> str:
    return SERVE.read_text()


def _libraries(binaries: list[Path]) -> list[Path]:
    """What the loader would load for them, at the places where it looks."""
    said = subprocess.run(["ldd", *map(str, binaries)], capture_output=True, text=True, check=False).stdout
    return sorted({Path(found) for found in re.findall(r"(?:=> |^\t)(/\S+) \(0x", said, re.MULTILINE)})


def _add(tar: tarfile.TarFile, source: Path, name: str) -> None:
    tar.add(
        source, name, filter=lambda entry: None if _LEFT_OUT.search(f"/{entry.name}") else _of_root(entry)
    )


def _of_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def _write(tar: tarfile.TarFile, name: str, text: str) -> None:
    data = text.encode()
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), 0o755
    tar.addfile(entry, io.BytesIO(data))
