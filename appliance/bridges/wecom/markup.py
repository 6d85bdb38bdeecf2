"""XML as WeCom sends it: elements and text. Whatever else XML can do is refused, before it can do it."""

from dataclasses import dataclass, field
from typing import NoReturn
from xml.parsers import expat

from appliance.lib.jsontypes import JsonObject, JsonValue

DEEPEST = 8


class Refused(ValueError):
    """Not XML, or more than elements and text."""


@dataclass(slots=True)
class _Open:
    name: str
    text: list[str] = field(default_factory=list)
    inside: JsonObject = field(default_factory=dict)

    def take(self, name: str, value: JsonValue) -> None:
        """An element that stands here several times becomes a list."""
        known = self.inside.get(name)
        if isinstance(known, list):
            known.append(value)
        else:
            self.inside[name] = value if known is None else [known, value]


def read_xml(data: bytes) -> JsonObject:
    """What stands in the outermost element, by name: texts, and objects for what has elements inside.

    Raises Refused: no entity is declared or followed, no document type is read, nothing is fetched.
    """
    reader = _Reader()
    parser = expat.ParserCreate("utf-8")
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    parser.ExternalEntityRefHandler = _refuse
    parser.ProcessingInstructionHandler = _refuse
    parser.StartElementHandler = reader.begin
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.characters
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise Refused(str(error)) from error
    return reader.root


def _refuse(*_: object) -> NoReturn:
    raise Refused("only elements and text are read")


class _Reader:
    def __init__(self) -> None:
        self.root: JsonObject = {}
        self._open: list[_Open] = []

    def begin(self, name: str, _: object) -> None:
        if len(self._open) >= DEEPEST:
            raise Refused("nested too deeply")
        self._open.append(_Open(name))

    def characters(self, text: str) -> None:
        self._open[-1].text.append(text)

    def end(self, _: str) -> None:
        done = self._open.pop()
        if self._open:
            self._open[-1].take(done.name, done.inside or "".join(done.text))
        else:
            self.root = done.inside
