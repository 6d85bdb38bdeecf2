"""Which type each tensor of a model gets, as llama.cpp's own quantiser decides it (``src/llama-quant.cpp``)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import prod


class Recipe(StrEnum):
    """``*_M``: with more bits where a model feels it most."""

    Q4_0 = "Q4_0"
    Q4_K_M = "Q4_K_M"
    Q5_K_M = "Q5_K_M"
    Q6_K = "Q6_K"
    Q8_0 = "Q8_0"


BITS: Mapping[int, Recipe] = {4: Recipe.Q4_K_M, 5: Recipe.Q5_K_M, 6: Recipe.Q6_K, 8: Recipe.Q8_0}
"""What ``--bits`` stands for: the best of that width that needs no calibration."""
_MOST: Mapping[Recipe, str] = {
    Recipe.Q4_0: "Q4_0", Recipe.Q4_K_M: "Q4_K", Recipe.Q5_K_M: "Q5_K", Recipe.Q6_K: "Q6_K", Recipe.Q8_0: "Q8_0",
}  # fmt: skip
_MORE_BITS = (Recipe.Q4_K_M, Recipe.Q5_K_M)
_BLOCK: Mapping[str, int] = {
    "Q4_0": 32, "Q5_0": 32, "Q5_1": 32, "Q8_0": 32, "Q4_K": 256, "Q5_K": 256, "Q6_K": 256, "F16": 1,
}  # fmt: skip
_FALLBACK: Mapping[str, str] = {
    "Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0", "Q4_0": "F16", "Q5_0": "F16", "Q5_1": "F16", "Q8_0": "F16",
}  # fmt: skip
_LAYER = re.compile(r"^blk\.(\d+)\.")
_NEVER = re.compile(
    r"_norm\.weight|ffn_gate_inp\.weight|altup|laurel|per_layer_model_proj|^position_embd\.weight|^token_types\.weight|"
    r"ssm_conv1d|shortconv\.conv\.weight|time_mix_(first|[wvag][0-2]|decay_w[12]|lerp_fused)\.weight|"
    r"attn_rel_b\.weight|\.position_embd|sam\.(pos_embd|neck\.|net_)|\.rel_pos|\.patch_embd|\.patch_merger"
)
"""Small, or so sensitive that they stay as they are."""
_EMBEDDING = ("token_embd.weight", "per_layer_token_embd.weight")


@dataclass(frozen=True, slots=True)
class Weights:
    """A tensor of the model that is read. ``shape``: the length of a row first. ``kind``: its type now."""

    name: str
    shape: tuple[int, ...]
    kind: str

    @property
    def elements(self) -> int:
        return prod(self.shape)

    @property
    def layer(self) -> int:
        found = _LAYER.match(self.name)
        return int(found[1]) if found else -1


@dataclass(frozen=True, slots=True)
class Build:
    """What of a model decides beside its tensors."""

    architecture: str
    layers: int = 0
    experts: int = 0
    heads_per_kv: int = 1


def kinds(tensors: Sequence[Weights], recipe: Recipe, build: Build) -> dict[str, str]:
    """The new type of each tensor, by its name."""
    tied = all(one.name != "output.weight" for one in tensors)
    places = {part: _places(tensors, part) for part in ("attn_v", "ffn_down")}
    found = {}
    for one in tensors:
        if _stays(one):
            # Norms and the like are small, and engines add them up in F32.
            found[one.name] = "F32" if len(one.shape) == 1 and one.kind in ("F16", "BF16") else one.kind
        else:
            found[one.name] = _fitting(_wanted(one, recipe, build, places, tied=tied), one.shape[0])
    return found


def _stays(one: Weights) -> bool:
    wide = sum(length > 1 for length in one.shape)
    return wide < 2 or not one.name.endswith("weight") or bool(_NEVER.search(one.name))


def _wanted(
    one: Weights,
    recipe: Recipe,
    build: Build,
    places: Mapping[str, Mapping[str, tuple[int, int]]],
    *,
    tied: bool,
) -> str:
    most = _MOST[recipe]
    if one.name == "output.weight" or (tied and one.name in _EMBEDDING):
        fits = build.architecture != "falcon" and one.shape[0] % _BLOCK[most] == 0
        return "Q6_K" if fits and most != "Q8_0" else "Q8_0"
    part = _part(one.name)
    if part == "attn_v":
        kind = "Q6_K" if recipe in _MORE_BITS and _more_bits(*places[part][one.name]) else most
        if build.layers == 80 and build.heads_per_kv >= 8 and kind == "Q4_K":
            kind = "Q5_K"  # eight heads share these, so that they are few and weigh much
        return "Q8_0" if build.experts == 8 else kind
    if part == "attn_k" and build.experts == 8:
        return "Q8_0"
    if part == "attn_output" and build.experts == 8 and recipe is Recipe.Q4_K_M:
        return "Q5_K"
    if part == "ffn_down" and recipe in _MORE_BITS:
        at, count = places[part][one.name]
        if build.architecture == "falcon" and recipe is Recipe.Q4_K_M:
            return "Q6_K" if at < count // 16 else "Q5_K" if _more_bits(at, count) else most
        return "Q6_K" if _more_bits(at, count) else most
    return most


def _part(name: str) -> str:
    if any(f"attn_{part}.weight" in name for part in ("v", "qkv", "kv_b")):
        return "attn_v"
    if "attn_k.weight" in name:
        return "attn_k"
    if "attn_output.weight" in name:
        return "attn_output"
    return "ffn_down" if "ffn_down" in name else ""


def _places(tensors: Sequence[Weights], part: str) -> dict[str, tuple[int, int]]:
    """Of each such tensor: which one in the order of the layers it is, and of how many."""
    names = [one.name for one in sorted(tensors, key=lambda one: one.layer) if _part(one.name) == part]
    return {name: (at, len(names)) for at, name in enumerate(names)}


def _more_bits(at: int, count: int) -> bool:
    """The first and the last eighth of the layers, and each third between: half of them."""
    return at < count // 8 or at >= 7 * count // 8 or (at - count // 8) % 3 == 2


def _fitting(kind: str, row: int) -> str:
    """Rows that are no multiple of a block take a type of smaller blocks, in the end none at all."""
    while row % _BLOCK[kind]:
        kind = _FALLBACK[kind]
    return kind
