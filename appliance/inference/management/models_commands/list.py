"""``manage.py models list``."""

import json

from appliance.inference.management.verb import Options, Say, Verb
from appliance.inference.overview import ModelRow, overview, plain


def _perform(options: Options, tell: Say) -> None:
    found = overview()
    if options["json"]:
        tell(json.dumps([plain(row) for row in found.rows]))
        return
    if found.away and found.rows:
        tell(f"{found.away}; the states are not known.")
    for row in found.rows:
        tell(_line(row))
    if not found.rows:
        tell("No model lies on this box. docs/how-to/models.md shows how to get a first one.")


def _line(row: ModelRow) -> str:
    version = row.served.version if row.served else ", ".join(one.manifest.version for one in row.stored)
    size = f"{row.manifest.size / 1e9:.2f} GB" if row.manifest else ""
    used = f"{row.seen.in_use}/{row.seen.slots}" if row.seen else ""
    return f"{row.name:<28} {version:<16} {row.state:<12} {used:<6} {size}".rstrip()


VERB = Verb("list", "what lies on this box, what is served, and how it is", _perform)
