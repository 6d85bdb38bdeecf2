"""Words by which chat templates mark who speaks: in a text that comes from outside they are taken out.

Else a log line could end the question and begin an answer, or speak as the system. And what cannot be seen is taken
out of it: characters that show nothing can carry whole sentences to a model which no person reads.
"""

import re
import unicodedata

_TOKENS = re.compile(
    # ChatML, Llama 3 and 4, Phi, GPT-OSS, Granite, Command R, GLM, Kimi; folded: DeepSeek, Hunyuan
    r"<\|[^<>|\n]{1,60}\|>"
    r"|<\|[a-z_]{1,30}>|<[a-z_]{1,30}\|>"  # Gemma 4
    r"|\[\|[^\[\]|\n]{1,40}\|\]"  # EXAONE
    r"|</?s>|<(?:unk|pad|bos|eos|sep|cls|mask|sop|eop|eot|eod)>"
    r"|<</?SYS>>|\[/?(?:INST|SYSTEM_PROMPT|MODEL_SETTINGS|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|ARGS"
    r"|CALL_ID|THINK|PREFIX|MIDDLE|SUFFIX|IMG|IMG_BREAK|IMG_END|AUDIO|BEGIN_AUDIO)\]"  # Llama 2, Mistral
    r"|</?(?:start_of_turn|end_of_turn|start_of_image|end_of_image)>"  # Gemma
    r"|</?(?:think|tool_call|tool_calls|tool_response|tool_result|tools|function_call|function_calls|function_results)>"
    r"|</?function(?:=[^<>\n]{0,60})?>|</?parameter(?:=[^<>\n]{0,60})?>"  # Qwen, Hermes, DeepSeek, Llama 3.1
    r"|</?seed:[a-z_]{1,30}>"  # Seed-OSS
    r"|\]~!?b[\[\]]|\[e~\["  # MiniMax
    r"|\[(?:gMASK|sMASK|MASK)\]|\[UNUSED_TOKEN_\d+\]|\[unused\d+\]"  # GLM, InternLM
    r"|<(?:reserved_|unused|extra_id_|special_)\d+>",  # Baichuan, Gemma, Nemotron
    re.IGNORECASE,
)
# Full-width and small forms of ASCII, and bars that look like one: a tokeniser that normalises reads them as such.
_FOLDED = {
    code: folded
    for code in (*range(0xFE50, 0xFE6C), *range(0xFF01, 0xFF5F))
    if len(folded := unicodedata.normalize("NFKC", chr(code))) == 1
} | dict.fromkeys(map(ord, "\u01c0\u2223\u2502\u23d0\u2758"), "|")


_PASSES = 4
_BRACKETS = str.maketrans("", "", "<>[]")


def without_control_tokens(text: str) -> str:
    """The text as it is, but for such words; what is left when one was hidden in another is taken out too.

    Nobody nests them by chance: a text that still has some after a few passes loses every bracket that could make one.
    """
    for _ in range(_PASSES):
        cleaned = _once(text)
        if cleaned == text:
            return text
        text = cleaned
    return text.translate(_FOLDED).translate(_BRACKETS)


def _once(text: str) -> str:
    folded = text if text.isascii() else text.translate(_FOLDED)
    kept, end = [], 0
    for found in _TOKENS.finditer(folded):
        kept.append(text[end : found.start()])
        end = found.end()
    return "".join([*kept, text[end:]]) if end else text
