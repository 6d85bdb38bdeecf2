"""The model repository on disk: ``<root>/<name>/<version>/manifest.json`` beside the files. A version never changes."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from appliance.inference.catalogue.manifest import Manifest
from appliance.inference.errors import ModelRefused, ModelUnknown

MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Stored:
    """A version that lies on this box."""

    manifest: Manifest
    folder: Path


class Repository:
    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self, name: str, version: str) -> Stored:
        """Raises ModelUnknown, or ModelRefused where its manifest cannot be read."""
        folder = self.root / name / version
        try:
            text = (folder / MANIFEST).read_bytes()
        except OSError as error:
            raise ModelUnknown(
                f"there is no model {name}@{version} on this box", hint="manage.py models list"
            ) from error
        try:
            return Stored(Manifest.model_validate_json(text), folder)
        except ValidationError as error:
            raise ModelRefused(
                f"the manifest of {name}@{version} cannot be read: {folder / MANIFEST}"
            ) from error

    def versions(self, name: str) -> list[str]:
        """Of one model, the newest last."""
        found = [one for one in self if one.manifest.name == name]
        return [one.manifest.version for one in sorted(found, key=lambda one: one.manifest.added_at)]

    def __iter__(self) -> Iterator[Stored]:
        """All that can be read, by name and version."""
        for path in sorted(self.root.glob(f"*/*/{MANIFEST}")):
            try:
                yield self.read(path.parent.parent.name, path.parent.name)
            except (ModelUnknown, ModelRefused):
                continue
