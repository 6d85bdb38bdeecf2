"""What each version of TensorRT-LLM's server can: its command line and its API are not the same from one to the next.

From its sources and documents; what none of them says of a version counts as not there.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from appliance.inference.errors import ModelRefused


class SchemaForm(StrEnum):
    """How ``response_format`` takes a JSON schema."""

    JSON = "json"
    """``{"type": "json", "schema": …}``"""
    JSON_SCHEMA = "json_schema"
    """As OpenAI has it."""


class Precedence(StrEnum):
    """What holds where the YAML file and the command line say different things: so neither says what the other does."""

    FILE = "file"
    FLAGS = "flags"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """``since`` is the first version of the row, as it is told; ``tool_parsers`` are the names that it takes."""

    since: str
    served_name_flag: bool
    tool_parsers: frozenset[str]
    forced_tools: bool
    """Whether ``tool_choice: required`` is taken."""
    schema_form: SchemaForm
    release_memory: bool
    """Whether anybody who reaches it may take its memory away."""
    health_lies: bool
    """Whether ``/health`` says 200 whatever is wrong."""
    cache_by_bytes: bool
    """Whether the memory for conversations can be given in bytes (``max_gpu_total_bytes``)."""
    precedence: Precedence
    config_flag: str = "--extra_llm_api_options"
    """``--config`` is its other name, which the older ones do not know."""
    metrics: str = "/prometheus/metrics"
    """``/metrics`` is a list that is emptied by whoever reads it."""


_1_2 = frozenset({"qwen3", "qwen3_coder", "kimi_k2", "deepseekv3", "deepseekv3.1", "deepseek_v32"})
_1_3 = frozenset(
    {
        *("auto", "deepseek_v3", "deepseek_v31", "deepseek_v32", "deepseek_v4", "gemma4", "glm4", "glm47"),
        *("kimi_k2", "kimi_k3", "minimax_m2", "minimax_m3", "poolside_v1", "qwen3", "qwen3_coder"),
    }
)
TABLE: Sequence[Capabilities] = (
    Capabilities(
        since="1.1",
        served_name_flag=False,
        tool_parsers=frozenset(),
        forced_tools=False,
        schema_form=SchemaForm.JSON,
        release_memory=False,
        health_lies=True,
        cache_by_bytes=False,
        precedence=Precedence.FILE,
    ),
    Capabilities(
        since="1.2",
        served_name_flag=False,
        tool_parsers=_1_2,
        forced_tools=False,
        schema_form=SchemaForm.JSON,
        release_memory=True,
        health_lies=False,
        cache_by_bytes=False,
        precedence=Precedence.FILE,
    ),
    Capabilities(
        # Names of parsers changed on the way to 1.3; those that both have are sure.
        since="1.3rc7",
        served_name_flag=True,
        tool_parsers=_1_2 & _1_3,
        forced_tools=False,
        schema_form=SchemaForm.JSON,
        release_memory=True,
        health_lies=False,
        cache_by_bytes=True,
        precedence=Precedence.UNKNOWN,
    ),
    Capabilities(
        since="1.3",
        served_name_flag=True,
        tool_parsers=_1_3,
        forced_tools=True,
        schema_form=SchemaForm.JSON_SCHEMA,
        release_memory=False,
        health_lies=False,
        cache_by_bytes=True,
        precedence=Precedence.FLAGS,
    ),
)
"""The oldest first."""

_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.\d+)?(?:\.?rc(\d+))?.*")
_FINAL = 1 << 30


def capabilities_of(version: str) -> Capabilities:
    """The row of a version such as ``1.2.1`` or ``1.3.0rc20``; of a later one the last. Raises ModelRefused."""
    wanted = _order(version)
    rows = [row for row in TABLE if _order(row.since) <= wanted]
    if not rows:
        raise ModelRefused(
            f"TensorRT-LLM {version} is older than {TABLE[0].since}, which is the oldest that this box serves with",
            hint="take a newer image into MILLWRIGHT_MODEL_IMAGES",
        )
    return rows[-1]


def _order(version: str) -> tuple[int, int, int]:
    read = _VERSION.fullmatch(version)
    if read is None:
        raise ModelRefused(f"{version!r} is no version of TensorRT-LLM", hint="such as 1.2.1 or 1.3.0rc20")
    return int(read[1]), int(read[2]), int(read[3]) if read[3] else _FINAL
