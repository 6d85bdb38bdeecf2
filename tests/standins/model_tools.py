"""llama.cpp's converter and NVIDIA's hf_ptq.py as container images: their command lines, and their ways to fail.

They are shell scripts that a ``python3`` of the image runs, and give files that were made before. ``standin.txt`` in
the model's folder says what goes wrong.
"""

import io
import json
import tarfile
import tempfile
from pathlib import Path

from appliance.sandbox.docker.model_jobs import PROGRAMS
from tests.container_engine import PrivateEngine, busybox_image, import_image
from tests.tiny_model import write_tiny_model

_PYTHON = '#!/bin/sh\nexec /bin/sh "$@"\n'
_FAILS = r"""
how=$(cat "$model/standin.txt" 2>/dev/null)
case "$how" in
  fails) echo "ValueError: Model NoSuchForCausalLM is not supported" >&2; exit 1;;
  nothing) exit 0;;
  full) cat /app/made > /dev/full; exit 1;;
  killed) kill -9 $$;;
  slow) echo "Loading" >&2; sleep 600;;
  garbage) echo no model > "$made"; exit 0;;
  link) ln -s /etc/passwd "$made"; exit 0;;
esac
if touch "$model/x" 2>/dev/null; then echo "the input can be written" >&2; exit 3; fi
if touch /app/x 2>/dev/null; then echo "the image can be written" >&2; exit 3; fi
if [ "$(ls /sys/class/net)" != lo ]; then echo "there is a network" >&2; exit 3; fi
if [ "$(id -u)" = 0 ]; then echo "this is root" >&2; exit 3; fi
[ "$HF_HUB_OFFLINE$TRANSFORMERS_OFFLINE" = 11 ] || { echo "it would ask the network" >&2; exit 3; }
"""
_CONVERT = (
    r"""
while [ $# -gt 0 ]; do case "$1" in
  --outtype) outtype=$2; shift 2;;
  --outfile) made=$2; shift 2;;
  -*) echo "convert_hf_to_gguf.py: error: unrecognized arguments: $1" >&2; exit 2;;
  *) model=$1; shift;;
esac; done
[ "$outtype" = bf16 ] && [ -n "$made" ] && [ -f "$model/config.json" ] || { echo "usage: …" >&2; exit 2; }
"""
    + _FAILS
    + r"""
printf 'Writing:  50%%|#####     | 1.0M/2.0M\r' >&2
cp /app/made "$made"
printf 'Writing: 100%%|##########| 2.0M/2.0M\n' >&2
"""
)
_PTQ = (
    r"""
while [ $# -gt 0 ]; do case "$1" in
  --pyt_ckpt_path) model=$2;; --export_path) made=$2/model.safetensors; out=$2;; --qformat) qformat=$2;;
  --calib_size) size=$2;; --dataset) texts=$2;; --kv_cache_qformat) kv=$2;;
  *) echo "hf_ptq.py: error: unrecognized arguments: $1" >&2; exit 2;;
esac; shift 2; done
case "$qformat" in int4_awq|nvfp4|fp8) ;; *) echo "hf_ptq.py: error: --qformat $qformat" >&2; exit 2;; esac
[ "$size $kv" = "128 none" ] && [ -n "$(ls "$texts")" ] || { echo "it would download texts" >&2; exit 2; }
"""
    + _FAILS
    + r"""
cp /app/made "$made"
echo '{"model_type": "llama", "max_position_embeddings": 256}' > "$out/config.json"
echo "{\"quantization\": {\"quant_algo\": \"W4A16_AWQ\"}}" > "$out/hf_quant_config.json"
"""
)
_SCRIPTS = {"llamacpp-tools": _CONVERT, "modelopt": _PTQ}


def build(engine: PrivateEngine, tool: str) -> str:
    """The image's id."""
    program, script = PROGRAMS[tool]
    content = io.BytesIO(busybox_image())
    with tarfile.open(fileobj=content, mode="a") as tar:
        _add(tar, f"usr/bin/{program}", _PYTHON.encode(), 0o755)
        _add(tar, script.lstrip("/"), _SCRIPTS[tool].encode(), 0o644)
        _add(tar, "app/made", _gguf() if tool == "llamacpp-tools" else safetensors(), 0o644)
    with engine.client() as client:
        return import_image(client, content.getvalue(), "ENV PATH=/usr/bin:/bin")


def checkpoint(folder: Path, how: str = "") -> Path:
    """A folder as Hugging Face lays it out; ``how`` is what the tool makes of it."""
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(safetensors())
    (folder / "config.json").write_text('{"model_type": "llama", "max_position_embeddings": 256}')
    if how:
        (folder / "standin.txt").write_text(how)
    for path in (folder, *folder.iterdir()):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


def safetensors() -> bytes:
    head = json.dumps({"a": {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    return len(head).to_bytes(8, "little") + head + bytes(4)


def _gguf() -> bytes:
    with tempfile.TemporaryDirectory() as name:
        return write_tiny_model(Path(name) / "made.gguf").read_bytes()


def _add(tar: tarfile.TarFile, name: str, data: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), mode
    tar.addfile(entry, io.BytesIO(data))
