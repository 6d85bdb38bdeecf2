"""What clients send, checked at the door: OpenAI's requests, as far as a box can answer them."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from appliance.inference.domain import Work
from appliance.inference.gateway.errors import ApiError, invalid

LARGEST_BODY = 4 << 20
MOST_MESSAGES, MOST_INPUTS, MOST_TOOLS = 4096, 2048, 128

AUTO = "auto"
_NEUTRAL: Mapping[str, tuple[object, ...]] = {
    "n": (1,),
    "best_of": (1,),
    "echo": (False,),
    "suffix": ("",),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "functions": ([],),
    "function_call": ("none",),
    "modalities": (["text"],),
    "audio": (),
    "prediction": (),
    "web_search_options": (),
    "dimensions": (),
    "min_p": (0,),
}
"""Fields that change what the answer is, with the values that change nothing. All others that an engine does not know
(``user``, ``store``, ``metadata``, …) are left out without a word: clients send them by habit."""


class _Sent(BaseModel):
    model_config = ConfigDict(extra="ignore")


class ImageUrl(_Sent):
    url: str = Field(pattern="^data:image/")
    """Only what the request itself holds: no engine fetches addresses for a client."""


class TextPart(_Sent):
    type: Literal["text"]
    text: str


class ImagePart(_Sent):
    type: Literal["image_url"]
    image_url: ImageUrl


Part = Annotated[TextPart | ImagePart, Field(discriminator="type")]


class CalledFunction(_Sent):
    name: str
    arguments: str


class ToolCall(_Sent):
    id: str
    type: Literal["function"] = "function"
    function: CalledFunction


class Message(_Sent):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[Part] | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = Field(default=None, max_length=MOST_TOOLS)
    tool_call_id: str | None = None


class Function(_Sent):
    name: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(_Sent):
    type: Literal["function"]
    function: Function


class NamedFunction(_Sent):
    name: str


class NamedChoice(_Sent):
    type: Literal["function"]
    function: NamedFunction


class StreamOptions(_Sent):
    include_usage: bool | None = None


class JsonSchema(_Sent):
    name: str = "answer"
    schema_: dict[str, Any] = Field(default_factory=dict, alias="schema")
    strict: bool | None = None


class ResponseFormat(_Sent):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


Texts = Annotated[list[str], BeforeValidator(_listed)]
Stops = Annotated[list[Annotated[str, Field(min_length=1, max_length=256)]], BeforeValidator(_listed)]


class _Request(BaseModel):
    """Ranges that no engine dies of. ``model_extra`` is what is known to some engines only."""

    model_config = ConfigDict(extra="allow")

    model: str = Field(min_length=1, max_length=200)


class _Generation(_Request):
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(default=None, ge=1, le=10_000_000)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = Field(default=None, le=1_000_000)
    min_p: float | None = Field(default=None, ge=0, le=1)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    stop: Stops | None = Field(default=None, max_length=16)
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] | None = Field(
        default=None, max_length=1000
    )
    top_logprobs: int | None = Field(default=None, ge=0, le=20)


class ChatRequest(_Generation):
    messages: list[Message] = Field(min_length=1, max_length=MOST_MESSAGES)
    max_completion_tokens: int | None = Field(default=None, ge=1, le=10_000_000)
    tools: list[Tool] | None = Field(default=None, max_length=MOST_TOOLS)
    tool_choice: Literal["none", "auto", "required"] | NamedChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    logprobs: bool | None = None


class CompletionRequest(_Generation):
    prompt: Texts = Field(min_length=1, max_length=1)
    """One text. Tokens by number mean something else to every model, and are not taken."""


class EmbeddingRequest(_Request):
    input: Texts = Field(min_length=1, max_length=MOST_INPUTS)
    encoding_format: Literal["float", "base64"] | None = None


Sent = TypeVar("Sent", bound=_Request)


def parse(kind: type[Sent], body: bytes) -> Sent:
    """Raises ApiError with 400, which names the field."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise invalid(f"{where or 'the body'}: {first['msg']}", where or None) from None


def refuse_unknown_meaning(sent: _Request, fields: frozenset[str]) -> None:
    """Raises ApiError for what the client means and this model's engine cannot do."""
    given = {**(sent.model_extra or {}), **{name: getattr(sent, name) for name in sent.model_fields_set}}
    for name, neutral in _NEUTRAL.items():
        value = given.get(name)
        if value is None or value in neutral:
            continue
        if name not in fields or name == "n" or name in ("best_of", "echo", "suffix"):
            raise invalid(f"{name} is not supported here", name, "unsupported_parameter")


def work_of(model: str, usual: Work) -> Work | None:
    """The work that ``auto`` or ``auto/<work>`` names; None for a model's own name. Raises ApiError."""
    if model == AUTO:
        return usual
    head, slash, work = model.partition("/")
    if head != AUTO or not slash:
        return None
    try:
        return Work(work)
    except ValueError:
        known = ", ".join(one.value for one in Work)
        raise ApiError(
            404, f"there is no work {work!r}; known are {known}", param="model", code="model_not_found"
        ) from None
