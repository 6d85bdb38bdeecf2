"""Which container image is which engine, or which tool for models: ``engine=version[+flag…]@image``, by comma, from the
operator's settings."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from appliance.lib.environment import ConfigInvalid

FLAGS = ("root", "writable", "seccomp-default", "rocm")
"""What an image needs beyond the strictest way: to run as root (without any capability), to write its own folders, the
container engine's own list of system calls; and whether it is for AMD's devices."""
_ONE = re.compile(
    r"(?P<engine>trtllm|vllm|llamacpp|llamacpp-tools|modelopt)=(?P<version>[0-9A-Za-z][0-9A-Za-z._-]{0,40})"
    r"(?P<flags>(?:\+[a-z-]+)*)@(?P<image>(?:[a-z0-9][a-z0-9._/:-]{0,200}@)?sha256:[0-9a-f]{64})"
)


@dataclass(frozen=True, slots=True)
class ModelImage:
    """``image`` is by digest: a tag can be moved."""

    engine: str
    version: str
    image: str
    flags: frozenset[str] = frozenset()


def model_images(items: Sequence[str]) -> tuple[ModelImage, ...]:
    """In the order in which they are named. Raises ConfigInvalid."""
    found: dict[str, ModelImage] = {}
    for item in items:
        read = _ONE.fullmatch(item)
        flags = frozenset((read["flags"] if read else "").split("+")) - {""}
        if read is None or flags - set(FLAGS) or read["image"] in found:
            raise ConfigInvalid(
                f"MILLWRIGHT_MODEL_IMAGES has {item!r}; expected engine=version@image, each image once, by its digest",
                hint="such as trtllm=1.2.1@nvcr.io/nvidia/tensorrt-llm/release@sha256:…; engines: trtllm, vllm, "
                "llamacpp; tools: llamacpp-tools, modelopt; "
                f"flags behind the version: {', '.join(f'+{flag}' for flag in FLAGS)}",
            )
        found[read["image"]] = ModelImage(read["engine"], read["version"], read["image"], flags)
    return tuple(found.values())
