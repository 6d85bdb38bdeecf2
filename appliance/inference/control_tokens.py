"""Words by which chat templates mark who speaks: in a text that comes from outside they are taken out.

Else a log line could end the question and begin an answer, or speak as the system.
"""

import re

_TOKENS = re.compile(
    r"<\|[^<>|\n]{1,60}\|>"  # ChatML, Llama 3, Phi, GPT-OSS
    r"|</?s>|<unk>|<pad>|<bos>|<eos>"
    r"|\[/?INST\]|<</?SYS>>|\[/?(?:AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\]"  # Llama 2, Mistral
    r"|</?(?:start_of_turn|end_of_turn|think|tool_call|tool_response|tools)>"  # Gemma, Qwen, DeepSeek
    r"|<\uff5c[^<>\n]{1,60}\uff5c>",  # DeepSeek's full-width bars
    re.IGNORECASE,
)


def without_control_tokens(text: str) -> str:
    """The text as it is, but for such words; what is left when one was hidden in another is taken out too."""
    while True:
        cleaned = _TOKENS.sub("", text)
        if cleaned == text:
            return text
        text = cleaned
