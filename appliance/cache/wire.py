"""The documents that two boxes exchange. Parsed one by one, so that one that cannot be read stops no other."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationError

from appliance.cache.domain import LARGEST, LONGEST_KEY, Write
from appliance.cache.errors import CacheRefused
from appliance.cache.stamps import Stamp
from appliance.lib.digest import canonical_json
from appliance.lib.errors import MillwrightError
from appliance.lib.jsontypes import JsonObject
from appliance.lib.plain import plain, plain_text


def _stamp(text: str) -> str:
    try:
        return str(Stamp.parse(text))
    except MillwrightError as error:
        raise ValueError(str(error)) from error


def _key(text: str) -> str:
    if plain_text(text) != text or not text.strip():
        raise ValueError("not a key")
    return text


StampText = Annotated[str, AfterValidator(_stamp)]
Key = Annotated[str, Field(min_length=1, max_length=LONGEST_KEY), AfterValidator(_key)]


class Document(BaseModel):
    """A key's value as one box has it. ``at`` is when it was written, by that box's clock."""

    model_config = ConfigDict(extra="ignore")

    key: Key
    value: JsonValue = None
    deleted: bool = False
    stamp: StampText
    at: datetime
    by: str = Field("", max_length=200)

    @property
    def write(self) -> Write:
        value = None if self.deleted else plain(self.value)
        return Write(self.key, value, self.deleted, Stamp.parse(self.stamp), self.at, plain_text(self.by))


class Message(BaseModel):
    """A push: ``document`` is to replace the peer's value whose stamp is ``base`` (null: it has none)."""

    id: str = Field(min_length=1, max_length=400)
    document: Document
    base: StampText | None = None


class Answer(BaseModel):
    """What became of a message, and what the peer has under the key now."""

    id: str
    outcome: Literal["accepted", "conflict", "refused"]
    reason: str = ""
    current: Any = None


class Answers(BaseModel):
    box: str = Field(max_length=100)
    now: datetime
    answers: list[Answer]


class Changes(BaseModel):
    """A page of what changed; ``cursor`` is where to go on, at once while ``more`` is true."""

    box: str = Field(max_length=100)
    now: datetime
    cursor: str = Field(max_length=60)
    more: bool
    documents: list[Any]


def document_of(write: Write) -> JsonObject:
    return {
        "key": write.key,
        "value": write.value,
        "deleted": write.deleted,
        "stamp": str(write.stamp),
        "at": write.at.isoformat(),
        "by": write.by,
    }


def message_of(write: Write, base: Stamp | None) -> JsonObject:
    """The push of one write. Its identity follows from what it says: a repetition is the same message."""
    return {
        "id": f"{write.key}@{write.stamp}",
        "document": document_of(write),
        "base": str(base) if base else None,
    }


def read_document(raw: object) -> Write:
    """Raises CacheRefused with what is wrong."""
    try:
        document = Document.model_validate(raw)
        if document.at.tzinfo is None:
            raise CacheRefused("at: a time needs its zone")
        write = document.write
        if not document.deleted and canonical_json(write.value) != canonical_json(document.value):
            raise CacheRefused("the value holds what a database cannot keep")
        size = len(canonical_json(write.value))
    except ValidationError as error:
        raise CacheRefused(_first(error)) from error
    except (ValueError, RecursionError) as error:
        raise CacheRefused(f"cannot be read: {error}") from error
    if size > LARGEST:
        raise CacheRefused(f"the value has {size} bytes; {LARGEST} are taken")
    return write


def read_message(raw: object) -> tuple[str, Write, Stamp | None]:
    """Identity, write and base of a push. Raises CacheRefused."""
    try:
        message = Message.model_validate(raw)
    except ValidationError as error:
        raise CacheRefused(_first(error)) from error
    except RecursionError as error:
        raise CacheRefused("cannot be read: nested too deeply") from error
    write = read_document(message.document.model_dump())
    return message.id, write, Stamp.parse(message.base) if message.base else None


def identity_of(raw: object) -> str:
    """The identity of a message that may not be readable, to answer to it."""
    found = raw.get("id") if isinstance(raw, dict) else None
    return found[:400] if isinstance(found, str) else ""


def _first(error: ValidationError) -> str:
    one = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, one['loc']))}: {one['msg']}"[:500]
