"""The OpenAPI document as people read it: types in words, and references as links to the shape that they name."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Schema = Mapping[str, Any]
METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a type: words, or the name of a shape to go to."""

    text: str
    shape: bool = False


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a shape, or a parameter; ``place`` says where a parameter stands."""

    name: str
    type: Sequence[Piece]
    required: bool
    default: Any = None
    description: str = ""
    place: str = ""


@dataclass(frozen=True, slots=True)
class Shape:
    name: str
    description: str
    fields: Sequence[Field]
    type: Sequence[Piece]
    """Of one without fields, such as a list of words."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: str
    description: str
    type: Sequence[Piece]


@dataclass(frozen=True, slots=True)
class Operation:
    method: str
    path: str
    summary: str
    description: str
    parameters: Sequence[Field]
    body: Sequence[Piece]
    answers: Sequence[Answer]


def operations(document: Schema) -> list[Operation]:
    """In the order of the document."""
    return [
        _operation(method, path, methods[method])
        for path, methods in document["paths"].items()
        for method in METHODS
        if method in methods
    ]


def shapes(document: Schema) -> list[Shape]:
    """By name."""
    known = document.get("components", {}).get("schemas", {})
    return [_shape(name, known[name]) for name in sorted(known)]


def type_of(schema: Schema) -> list[Piece]:
    """The words and links of a type; nothing for one that takes everything."""
    pieces: list[Piece] = []
    for piece in _pieces(schema):
        if pieces and not (piece.shape or pieces[-1].shape):
            pieces[-1] = Piece(f"{pieces[-1].text} {piece.text}")
        else:
            pieces.append(piece)
    return pieces


def _pieces(schema: Schema) -> Iterator[Piece]:
    if "$ref" in schema:
        yield Piece(str(schema["$ref"]).rpartition("/")[2], shape=True)
        return
    for key, joint in (("anyOf", "or"), ("oneOf", "or"), ("allOf", "and")):
        for place, part in enumerate(schema.get(key, ())):
            if place:
                yield Piece(joint)
            yield from _pieces(part)
        if key in schema:
            return
    if "enum" in schema or "const" in schema:
        values = schema.get("enum", [schema.get("const")])
        yield Piece(" | ".join(str(value) for value in values))
    elif schema.get("type") == "array":
        yield Piece("list of")
        yield from _pieces(schema.get("items") or {"type": "anything"})
    else:
        yield Piece(_plain(schema))


def _plain(schema: Schema) -> str:
    name = str(schema.get("format") or schema.get("type") or "anything")
    low = schema.get("minimum", schema.get("minLength", ""))
    high = schema.get("maximum", schema.get("maxLength", ""))
    characters = " characters" if {"minLength", "maxLength"} & set(schema) else ""
    return f"{name} ({low}…{high}{characters})" if (low, high) != ("", "") else name


def _shape(name: str, schema: Schema) -> Shape:
    required = set(schema.get("required", ()))
    fields = [
        Field(key, type_of(part), key in required, part.get("default"), part.get("description", ""))
        for key, part in schema.get("properties", {}).items()
    ]
    return Shape(name, schema.get("description", ""), fields, [] if fields else type_of(schema))


def _operation(method: str, path: str, found: Schema) -> Operation:
    return Operation(
        method=method.upper(),
        path=path,
        summary=found.get("summary", ""),
        description=found.get("description", ""),
        parameters=[
            Field(
                name=one["name"],
                type=type_of(one.get("schema", {})),
                required=bool(one.get("required")),
                default=one.get("schema", {}).get("default"),
                place=one["in"],
            )
            for one in found.get("parameters", ())
        ],
        body=_content(found.get("requestBody", {})),
        answers=[
            Answer(str(status), answer.get("description", ""), _content(answer))
            for status, answer in found.get("responses", {}).items()
        ],
    )


def _content(holder: Schema) -> list[Piece]:
    for kind, media in holder.get("content", {}).items():
        return type_of(media["schema"]) if "schema" in media else [Piece(kind)]
    return []
