"""From a client's request to a body that this engine takes and does not die of. Pure."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from appliance.inference.backends.contract import Dialect
from appliance.inference.domain import Need, Work
from appliance.inference.gateway.errors import ApiError, invalid
from appliance.inference.gateway.forced import Forced, forced
from appliance.inference.gateway.requests import (
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    ImagePart,
    Message,
    refuse_unknown_meaning,
    work_of,
)
from appliance.lib.jsontypes import JsonObject

BYTES_OF_TOKEN = 2.5
"""Of UTF-8; ordinary text has more in a token, so that the estimate is from above."""
OF_MESSAGE = 8
OF_IMAGE = 1500


@dataclass(frozen=True, slots=True)
class Asked(ABC):
    """One request. ``estimate``: tokens of the prompt, from above. ``stream``: whether the client wants pieces;
    ``keep_usage``: and the use of tokens as the last of them."""

    path: str
    name: str
    work: Work | None
    """None: the model by its name."""
    needs: frozenset[Need]
    estimate: int
    stream: bool = False
    keep_usage: bool = False
    forced: Forced | None = None
    prompt_field: str = ""

    @property
    def longest(self) -> int:
        """Tokens that have to fit into one context."""
        return self.estimate

    @abstractmethod
    def body(self, dialect: Dialect, served_name: str, context: int) -> JsonObject:
        """Raises ApiError for what this engine cannot do, or for more tokens than its context holds."""
        ...

    def enforced_here(self, dialect: Dialect) -> Forced | None:
        """The tools that must be called, where the engine would not see to it."""
        return None if dialect.forced_tools else self.forced


@dataclass(frozen=True, slots=True)
class AskedChat(Asked):
    sent: ChatRequest | None = None

    def body(self, dialect: Dialect, served_name: str, context: int) -> JsonObject:
        assert self.sent is not None
        sent = self.sent
        refuse_unknown_meaning(sent, dialect.fields)
        wanted = sent.max_completion_tokens or sent.max_tokens
        given = _generation(self, sent, wanted, context)
        given["messages"] = [_message(one) for one in sent.messages]
        given |= sent.model_dump(
            exclude_none=True,
            by_alias=True,
            include={"tools", "tool_choice", "parallel_tool_calls", "response_format", "logprobs"},
        )
        must = self.enforced_here(dialect)
        if must is not None:
            for name in ("tools", "tool_choice", "parallel_tool_calls"):
                given.pop(name, None)
            given["response_format"] = must.response_format
            given["messages"] = _with_instruction(given["messages"], must.instruction)
        elif sent.tool_choice == "none" or not sent.tools:
            given.pop("tools", None)
            given.pop("tool_choice", None)
        return _finished(given, dialect, served_name)


@dataclass(frozen=True, slots=True)
class AskedText(Asked):
    sent: CompletionRequest | None = None

    def body(self, dialect: Dialect, served_name: str, context: int) -> JsonObject:
        assert self.sent is not None
        refuse_unknown_meaning(self.sent, dialect.fields - {"logprobs"})
        given = _generation(self, self.sent, self.sent.max_tokens, context)
        given["prompt"] = self.sent.prompt[0]
        return _finished(given, dialect, served_name)


@dataclass(frozen=True, slots=True)
class AskedVectors(Asked):
    sent: EmbeddingRequest | None = None

    @property
    def longest(self) -> int:
        """Each text has a context of its own."""
        return max(tokens_of(text) for text in self.sent.input) if self.sent else 0

    @property
    def as_base64(self) -> bool:
        """OpenAI's own clients ask for that. No engine is bothered with it."""
        return self.sent is not None and self.sent.encoding_format == "base64"

    def body(self, dialect: Dialect, served_name: str, context: int) -> JsonObject:
        assert self.sent is not None
        refuse_unknown_meaning(self.sent, dialect.fields)
        if self.longest > context:
            raise too_long(self.longest, context, self.prompt_field)
        return _finished({"input": self.sent.input, "encoding_format": "float"}, dialect, served_name)


def chat(sent: ChatRequest) -> AskedChat:
    """Raises ApiError."""
    must = forced(sent)
    needs = set()
    if must is not None or (sent.response_format and sent.response_format.type != "text"):
        needs.add(Need.JSON)
    if must is None and sent.tools and sent.tool_choice != "none":
        needs.add(Need.TOOLS)
    if any(isinstance(part, ImagePart) for one in sent.messages for part in _parts(one)):
        needs.add(Need.VISION)
    estimate = sum(_of_message(one) for one in sent.messages)
    estimate += sum(tokens_of(tool.model_dump_json()) for tool in sent.tools or ())
    return AskedChat(
        "/v1/chat/completions",
        sent.model,
        work_of(sent.model, Work.CHAT),
        frozenset(needs),
        estimate,
        stream=bool(sent.stream),
        keep_usage=_wants_usage(sent),
        forced=must,
        prompt_field="messages",
        sent=sent,
    )


def text(sent: CompletionRequest) -> AskedText:
    return AskedText(
        "/v1/completions",
        sent.model,
        work_of(sent.model, Work.CHAT),
        frozenset(),
        tokens_of(sent.prompt[0]),
        stream=bool(sent.stream),
        keep_usage=_wants_usage(sent),
        prompt_field="prompt",
        sent=sent,
    )


def vectors(sent: EmbeddingRequest) -> AskedVectors:
    return AskedVectors(
        "/v1/embeddings",
        sent.model,
        work_of(sent.model, Work.EMBEDDINGS),
        frozenset({Need.EMBEDDINGS}),
        sum(tokens_of(text) for text in sent.input),
        prompt_field="input",
        sent=sent,
    )


def tokens_of(text: str) -> int:
    """How many tokens a text has at most, nearly."""
    return math.ceil(len(text.encode("utf-8", "replace")) / BYTES_OF_TOKEN)


def _generation(
    asked: Asked, sent: ChatRequest | CompletionRequest, wanted: int | None, context: int
) -> dict[str, Any]:
    """What both kinds share. The longest answer is what the context still holds, where no less is asked for."""
    room = context - asked.estimate
    if room < 1:
        raise too_long(asked.estimate, context, asked.prompt_field)
    given: dict[str, Any] = sent.model_dump(
        exclude_none=True,
        include={
            "temperature",
            "top_p",
            "top_k",
            "min_p",
            "presence_penalty",
            "frequency_penalty",
            "seed",
            "stop",
            "logit_bias",
            "top_logprobs",
        },
    )
    # Some engines die of a negative one, by which clients mean that there is no such limit.
    if given.get("top_k", 1) < 1:
        given["top_k"] = 0
    # Whether the client wants pieces or not: only by them can be seen that the engine gets on.
    return {
        **given,
        "max_tokens": min(wanted or room, room),
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def _finished(given: dict[str, Any], dialect: Dialect, served_name: str) -> JsonObject:
    kept = {name: value for name, value in given.items() if name in dialect.fields}
    return dialect.shape({**kept, "model": served_name})


def _message(message: Message) -> dict[str, Any]:
    """``content`` stays where it is null: templates of some models ask for it."""
    given = message.model_dump(exclude_none=True)
    given.setdefault("content", None)
    # No open model has a developer; what OpenAI calls so now is what all call system.
    if given["role"] == "developer":
        given["role"] = "system"
    return given


def _with_instruction(messages: list[dict[str, Any]], instruction: str) -> list[dict[str, Any]]:
    """Into the first message where that is the system's: many templates take one only, and only there."""
    if messages[0]["role"] == "system" and isinstance(messages[0]["content"], str):
        first = {**messages[0], "content": f"{messages[0]['content']}\n\n{instruction}"}
        return [first, *messages[1:]]
    return [{"role": "system", "content": instruction}, *messages]


def _parts(message: Message) -> list[Any]:
    return message.content if isinstance(message.content, list) else []


def _of_message(message: Message) -> int:
    found = OF_MESSAGE + tokens_of(message.content if isinstance(message.content, str) else "")
    for part in _parts(message):
        found += OF_IMAGE if isinstance(part, ImagePart) else tokens_of(part.text)
    return found + sum(tokens_of(one.model_dump_json()) for one in message.tool_calls or ())


def _wants_usage(sent: ChatRequest | CompletionRequest) -> bool:
    return bool(sent.stream_options and sent.stream_options.include_usage)


def too_long(estimate: int, context: int, param: str) -> ApiError:
    return invalid(
        f"{param}: about {estimate} tokens, and the model takes {context} together with its answer",
        param,
        "context_length_exceeded",
    )
