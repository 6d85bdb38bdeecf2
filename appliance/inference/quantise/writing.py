"""A GGUF file anew with other types, a few rows at a time: memory stays far below one tensor's."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from gguf import (
    GGML_QUANT_SIZES,
    GGML_QUANT_VERSION,
    GGMLQuantizationType,
    GGUFEndian,
    GGUFReader,
    GGUFValueType,
    GGUFWriter,
    LlamaFileType,
)
from gguf.gguf_reader import ReaderField, ReaderTensor
from gguf.quants import dequantize

from appliance.inference.quantise.ggml import Ggml
from appliance.inference.quantise.recipe import Build, Recipe, Weights, kinds

_AT_ONCE = 16 << 20
"""Elements that are in memory as F32 at a time: 64 MiB."""
_PLAIN = {"F32": np.float32, "F16": np.float16}
_OURS = ("general.file_type", "general.quantization_version", "general.quantized_by")
_OF_SPLIT = ("split.no", "split.count", "split.tensors.count")


class CannotQuantise(Exception):
    """The message is a sentence without a full stop."""


def rewrite(
    sources: list[Path], target: Path, recipe: Recipe, ggml: Ggml, on_bytes: Callable[[int, int, str], None]
) -> dict[str, int]:
    """Write ``target``; ``on_bytes`` is told done, total and the tensor. Gives how many tensors have which type.

    Raises CannotQuantise, OSError.
    """
    readers = [GGUFReader(str(path)) for path in sources]
    if readers[0].endianess is not GGUFEndian.LITTLE:
        raise CannotQuantise("it was made for machines with another byte order")
    tensors = [one for reader in readers for one in reader.tensors]
    chosen = kinds([_weights(one) for one in tensors], recipe, _build(readers[0]))
    writer = GGUFWriter(None, _text(readers[0], "general.architecture"))
    _copy_head(readers[0], writer, recipe)
    for one in tensors:
        kind = GGMLQuantizationType[chosen[one.name]]
        shape = [int(length) for length in reversed(one.shape)]
        writer.add_tensor_info(one.name, shape, np.dtype(np.float32), _size(one, kind), raw_dtype=kind)
    writer.write_header_to_file(target)
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    assert writer.fout is not None
    out = writer.fout[0]
    writer.write_padding(out, out.tell())
    done, total = 0, sum(one.n_bytes for one in tensors)
    for one in tensors:
        kind = GGMLQuantizationType[chosen[one.name]]
        for piece in _pieces(one, kind, ggml):
            out.write(piece.data)
            on_bytes(min(done + one.n_bytes, total), total, one.name)
        done += one.n_bytes
        writer.write_padding(out, _size(one, kind))
        on_bytes(done, total, one.name)
    out.flush()
    writer.close()
    return dict(Counter(chosen.values()))


def _pieces(one: ReaderTensor, kind: GGMLQuantizationType, ggml: Ggml) -> Iterator[np.ndarray[Any, Any]]:
    if one.tensor_type == kind:
        yield np.ascontiguousarray(one.data)
        return
    length = int(one.shape[0])
    rows = one.data.reshape(-1, one.data.shape[-1])
    step = max(1, _AT_ONCE // length)
    for at in range(0, len(rows), step):
        try:
            floats = np.ascontiguousarray(dequantize(rows[at : at + step], one.tensor_type), np.float32)
        except NotImplementedError as error:
            raise CannotQuantise(
                f"{one.name} is of the type {one.tensor_type.name}, which cannot be read"
            ) from error
        plain = _PLAIN.get(kind.name)
        try:
            yield floats.astype(plain) if plain else ggml.quantise(kind, floats.reshape(-1, length))
        except ValueError as error:
            raise CannotQuantise(f"{one.name} cannot be quantised: {error}") from error


def _copy_head(reader: GGUFReader, writer: GGUFWriter, recipe: Recipe) -> None:
    """All that the file says of itself, the tokenizer and the chat template among it."""
    for name, field in reader.fields.items():
        if name == "general.architecture" or name.startswith("GGUF.") or name in (*_OURS, *_OF_SPLIT):
            continue
        if name == "general.alignment":
            writer.data_alignment = int(field.contents())
        _copy_field(name, field, writer)
    writer.add_file_type(LlamaFileType[f"MOSTLY_{recipe.value}"])
    writer.add_quantization_version(GGML_QUANT_VERSION)
    writer.add_string("general.quantized_by", "Millwright")


def _copy_field(name: str, field: ReaderField, writer: GGUFWriter) -> None:
    kind = field.types[0]
    if kind is not GGUFValueType.ARRAY:
        writer.add_key_value(name, field.contents(), kind)
    elif field.data:  # the format's writer has no form for an empty list
        writer.add_key_value(name, field.contents(), kind, sub_type=field.types[-1])


def _weights(one: ReaderTensor) -> Weights:
    return Weights(one.name, tuple(int(length) for length in one.shape), one.tensor_type.name)


def _size(one: ReaderTensor, kind: GGMLQuantizationType) -> int:
    block, size = GGML_QUANT_SIZES[kind]
    return int(one.n_elements) // block * size


def _build(reader: GGUFReader) -> Build:
    architecture = _text(reader, "general.architecture")
    heads = _number(reader, f"{architecture}.attention.head_count")
    shared = _number(reader, f"{architecture}.attention.head_count_kv")
    return Build(
        architecture,
        _number(reader, f"{architecture}.block_count"),
        _number(reader, f"{architecture}.expert_count"),
        heads // shared if shared else 1,
    )


def _text(reader: GGUFReader, key: str) -> str:
    field = reader.get_field(key)
    return str(field.contents()) if field else ""


def _number(reader: GGUFReader, key: str) -> int:
    field = reader.get_field(key)
    value = field.contents() if field else 0
    return max(value, default=0) if isinstance(value, list) else int(value)
