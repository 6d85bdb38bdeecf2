"""The JSON schema of the protocol, as docs/reference keeps it. ``make docs`` writes it, a test compares."""

import json
from pathlib import Path
from typing import Any

from appliance.lib.config import ROOT
from webadmin.gateway import protocol

FILE = ROOT / "docs" / "reference" / "gateway.schema.json"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """Of a frame of either side: ``$defs/FromClient`` and ``$defs/FromBox``, each a choice by ``type``."""
    client = protocol.FROM_CLIENT.json_schema(ref_template="#/$defs/{model}")
    box = protocol.FROM_BOX.json_schema(ref_template="#/$defs/{model}", mode="serialization")
    definitions = {**client.pop("$defs"), **box.pop("$defs")}
    return {
        "$schema": _DIALECT,
        "title": f"Millwright gateway, version {protocol.VERSION}",
        "anyOf": [{"$ref": "#/$defs/FromClient"}, {"$ref": "#/$defs/FromBox"}],
        "$defs": {**definitions, "FromClient": client, "FromBox": box},
    }


def rendered() -> str:
    return json.dumps(schema(), indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def write(file: Path = FILE) -> Path:
    file.write_text(rendered(), encoding="utf-8")
    return file


if __name__ == "__main__":
    write()
