"""What the JSON files beside safetensors say of a model, as Hugging Face lays them out."""

import json
import re
from pathlib import Path
from typing import Any

from appliance.inference.catalogue.manifest import Shape
from appliance.inference.catalogue.reading.facts import Unreadable, head_size, knows_tools, plain_word, whole

_LONGEST = 32 << 20
_LICENCE = re.compile(r"^license:\s*([\w.+-]+)\s*$", re.MULTILINE)
_FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---", re.DOTALL)
_WITH_CODE = ("config.json", "tokenizer_config.json", "processor_config.json", "preprocessor_config.json")


def read_json(path: Path) -> dict[str, Any]:
    """An object; empty where there is no such file. Raises Unreadable, OSError."""
    if not path.is_file():
        return {}
    if path.stat().st_size > _LONGEST:
        raise Unreadable(f"{path.name} is too long")
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"{path.name} is no JSON") from error
    if not isinstance(found, dict):
        raise Unreadable(f"{path.name} is no JSON object")
    return found


def refuse_custom_code(folder: Path) -> None:
    """Raises Unreadable for a model that comes with a program of its own."""
    for name in _WITH_CODE:
        custom = read_json(folder / name).get("auto_map")
        if custom:
            first = next(iter(custom.values())) if isinstance(custom, dict) else custom
            shown = plain_word(first[0] if isinstance(first, list) and first else first)
            raise Unreadable(
                f"{name} asks to run code that comes with the model ({shown}), which is never done"
            )


def facts_of(folder: Path) -> dict[str, object]:
    """The part of ``Facts`` that stands beside the weights. Raises Unreadable, OSError."""
    config = read_json(folder / "config.json")
    if not config:
        raise Unreadable("there is no config.json beside its safetensors files")
    nested = config.get("text_config")
    text = {**config, **nested} if isinstance(nested, dict) else config
    heads, width = whole(text.get("num_attention_heads")), whole(text.get("hidden_size"))
    template = _template(folder)
    return {
        "architecture": plain_word(text.get("model_type")) or _first_architecture(config),
        "quantisation": _quantisation(folder, config),
        "context": whole(text.get("max_position_embeddings")),
        "shape": Shape(
            layers=whole(text.get("num_hidden_layers")),
            kv_heads=whole(text.get("num_key_value_heads")) or heads,
            head_size=head_size(whole(text.get("head_dim")), width, heads),
        ),
        "chat_template": bool(template),
        "tools": knows_tools(template),
        "embeddings": (folder / "modules.json").is_file() or (folder / "1_Pooling").is_dir(),
        "licence": _licence(folder, config),
    }


def _first_architecture(config: dict[str, Any]) -> str:
    named = config.get("architectures")
    return plain_word(named[0]) if isinstance(named, list) and named else ""


def _template(folder: Path) -> str:
    """All templates together: a tokenizer may have several by name, or one in a file of its own."""
    own = folder / "chat_template.jinja"
    if own.is_file() and own.stat().st_size <= _LONGEST:
        return own.read_text("utf-8", "replace")
    found = read_json(folder / "tokenizer_config.json").get("chat_template")
    if isinstance(found, list):
        return "\n".join(str(one.get("template", "")) for one in found if isinstance(one, dict))
    return found if isinstance(found, str) else ""


def _quantisation(folder: Path, config: dict[str, Any]) -> str:
    by_modelopt = read_json(folder / "hf_quant_config.json").get("quantization")
    if isinstance(by_modelopt, dict) and by_modelopt.get("quant_algo"):
        return plain_word(by_modelopt["quant_algo"]).lower()
    said = config.get("quantization_config")
    if not isinstance(said, dict):
        return ""
    return plain_word(said.get("quant_algo") or said.get("quant_method")).lower()


def _licence(folder: Path, config: dict[str, Any]) -> str:
    """By the model's card, else by its configuration."""
    card = folder / "README.md"
    if card.is_file():
        with card.open("rb") as file:
            front = _FRONT_MATTER.match(file.read(64 << 10).decode("utf-8", "replace"))
        named = _LICENCE.search(front[1]) if front else None
        if named:
            return plain_word(named[1])
    return plain_word(config.get("license"))
