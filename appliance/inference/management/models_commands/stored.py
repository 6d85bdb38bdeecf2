"""``manage.py models stored``."""

import json

from appliance.inference.catalogue.repository import Repository
from appliance.inference.catalogue.staging import waiting
from appliance.inference.management.showing import size
from appliance.inference.management.verb import Options, Say, Verb
from appliance.lib.config import get_config


def _perform(options: Options, tell: Say) -> None:
    models = get_config().home.models
    stored, coming = [one.manifest for one in Repository(models)], waiting(models)
    if options["json"]:
        rows = [{**one.model_dump(mode="json"), "digest": one.digest, "size": one.size} for one in stored]
        tell(json.dumps({"stored": rows, "on_their_way": [{"model": m, "bytes": b} for m, b in coming]}))
        return
    if stored:
        tell(f"{'model':<40} {'size':>9}  {'type':<10} {'context':>8}  {'does':<16} licence")
    for one in stored:
        does = ", ".join(
            word
            for word, can in (
                ("vectors", one.embeddings), ("chat", one.chat_template), ("tools", one.tools)
            )
            if can
        )  # fmt: skip
        name = f"{one.name}@{one.version}"
        tell(
            f"{name:<40} {size(one.size):>9}  {one.quantisation:<10} {one.context or '':>8}  {does:<16} "
            f"{one.licence or 'not said'}"
        )
    for model, count in coming:
        tell(f"{model:<40} {size(count):>9}  on its way, or stopped: the same import goes on from there")
    if not stored and not coming:
        tell("No model lies on this box. docs/how-to/import-a-model.md shows how to get a first one.")


VERB = Verb("stored", "a table of all versions on the disk, and of imports on their way", _perform)
