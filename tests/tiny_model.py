"""A model of 0.4 million weights, made on the spot: real llama.cpp loads it in milliseconds. What it says is noise, but
under a JSON schema it is valid JSON, and the same each time."""

from pathlib import Path

import numpy as np
from gguf import GGUFWriter, PoolingType

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_SPECIAL = ("<|im_start|>", "<|im_end|>")
_NORMAL, _UNKNOWN, _CONTROL, _BYTE = 1, 2, 3, 6
_QUOTE, _BEYOND_ASCII = 3 + ord('"'), slice(3 + 0x80, 3 + 0x100)


def write_tiny_model(
    path: Path,
    *,
    width: int = 256,
    layers: int = 2,
    heads: int = 4,
    inner: int = 512,
    context: int = 2048,
    seed: int = 0,
    vectors: bool = False,
    terse: float = 0.0,
) -> Path:
    """Write a llama of bytes with random weights as GGUF, in F32; rows of 256, so that each quantisation fits it.

    ``vectors``: it gives the mean of what it makes of a text. ``terse``: how much it likes to end a string, and to
    keep to ASCII, so that an answer under a schema ends before its tokens do.
    """
    writer = GGUFWriter(str(path), "llama")
    writer.add_name("tiny")
    writer.add_context_length(context)
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_head_count_kv(heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(width // heads)
    writer.add_file_type(0)
    if vectors:
        writer.add_pooling_type(PoolingType.MEAN)
    words = _add_tokens(writer)
    _add_weights(writer, words, width, layers, inner, np.random.default_rng(seed), terse)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_tokens(writer: GGUFWriter) -> int:
    """Each byte is a token; gives how many there are."""
    bytes_ = [f"<0x{i:02X}>" for i in range(256)]
    tokens = ["<unk>", "<s>", "</s>", *bytes_, *_SPECIAL, "▁"]
    kinds = [_UNKNOWN, _CONTROL, _CONTROL, *[_BYTE] * 256, _CONTROL, _CONTROL, _NORMAL]
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types(kinds)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(tokens.index("<|im_end|>"))
    writer.add_unk_token_id(0)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(TEMPLATE)
    return len(tokens)


def _add_weights(
    writer: GGUFWriter,
    words: int,
    width: int,
    layers: int,
    inner: int,
    random: np.random.Generator,
    terse: float,
) -> None:
    def drawn(name: str, *shape: int) -> None:
        weights = (random.standard_normal(shape) * 0.05).astype(np.float32)
        if terse and name == "token_embd":
            # The same for every token, and large: what rows of the output make of it is a bias.
            weights[:, 0] = 8.0
        if terse and name == "output":
            weights[:, 0] = 0.0
            weights[_QUOTE, 0] = terse
            weights[_BEYOND_ASCII, 0] = -terse
        writer.add_tensor(f"{name}.weight", weights)

    def ones(name: str) -> None:
        writer.add_tensor(f"{name}.weight", np.ones(width, np.float32))

    drawn("token_embd", words, width)
    ones("output_norm")
    drawn("output", words, width)
    for number in range(layers):
        block = f"blk.{number}"
        ones(f"{block}.attn_norm")
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            drawn(f"{block}.{part}", width, width)
        ones(f"{block}.ffn_norm")
        drawn(f"{block}.ffn_gate", inner, width)
        drawn(f"{block}.ffn_up", inner, width)
        drawn(f"{block}.ffn_down", width, inner)
