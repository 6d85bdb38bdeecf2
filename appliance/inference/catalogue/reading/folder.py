"""Which files of a folder are a model, and what they say. The folder is not trusted."""

import re
from collections import Counter
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from appliance.inference.backends.remote.where import REMOTE, read_where
from appliance.inference.catalogue.manifest import LeftOut
from appliance.inference.catalogue.reading import configuration, gguf, safetensors
from appliance.inference.catalogue.reading.facts import Facts, Unreadable, plain_word
from appliance.inference.domain import ModelFormat
from appliance.inference.errors import ModelRefused

PROGRAMS = frozenset(
    {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".h5", ".keras", ".npy", ".mar"}
)
"""Weights in formats that can run code when they are read."""
WEIGHTS = frozenset({".gguf", ".safetensors"})
_BESIDE = frozenset({".json", ".txt", ".model", ".tiktoken", ".jinja", ".md"})
_LICENCES = re.compile(r"(?i)^(licen[sc]e|notice|copying)[\w.-]*$")
_SPLIT = re.compile(r"^(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf$")
_PROJECTOR = re.compile(r"(?i)^mmproj")
_MOST_FILES = 10_000
_LARGEST_BESIDE = 64 << 20
MANIFEST = "manifest.json"


def shards(name: str) -> list[str] | None:
    """The names of all parts of a split GGUF file; None for one that is whole."""
    found = _SPLIT.match(name)
    if found is None:
        return None
    count = int(found["count"])
    if not 1 <= count <= 1000:
        raise Unreadable(f"{plain_word(name)} is one of {count} parts")
    return [f"{found['stem']}-{number:05d}-of-{count:05d}.gguf" for number in range(1, count + 1)]


def names_of(folder: Path) -> list[str]:
    """All plain files below, with ``/``; what begins with a dot is passed over. Raises Unreadable for a link."""
    found: list[str] = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if any(part.startswith(".") for part in name.parts):
            continue
        if path.is_symlink():
            raise Unreadable(
                f"{plain_word(str(name))} is a link; copy the folder with `cp -rL` and take that"
            )
        if path.is_dir():
            continue
        if not path.is_file():
            raise Unreadable(f"{plain_word(str(name))} is no plain file")
        found.append(check_name(name.as_posix()))
        if len(found) > _MOST_FILES:
            raise Unreadable(f"there are more than {_MOST_FILES} files in it")
    return found


def check_name(name: str) -> str:
    """A file's name below a folder, and nothing that leads out of it. Raises Unreadable."""
    parts = PurePosixPath(name).parts
    plain = name.isprintable() and "\\" not in name and "\0" not in name
    if not plain or not parts or name.startswith("/") or ".." in parts or len(name.encode()) > 400:
        raise Unreadable(f"`{plain_word(name)}` is no name for a file of a model")
    return name


def wanted(names: list[str], only: str) -> list[str]:
    """Without the weights that do not fit the pattern ``only``; all, where there is none."""
    if not only:
        return names
    return [name for name in names if Path(name).suffix not in WEIGHTS or fnmatchcase(name, only)]


def read_folder(path: Path, only: str = "") -> Facts:
    """Of a folder, or of one file with what belongs to it. Raises Unreadable, OSError."""
    folder, names = (path, names_of(path)) if path.is_dir() else (path.parent, _file_alone(path))
    names = wanted(names, only)
    weights = [n for n in names if n.endswith(".gguf") and not _PROJECTOR.match(Path(n).name)]
    if weights:
        return _gguf(folder, names, weights)
    weights = [name for name in names if name.endswith(".safetensors")]
    if weights:
        return _safetensors(folder, names, weights)
    programs = [name for name in names if Path(name).suffix.lower() in PROGRAMS]
    if programs:
        raise Unreadable(
            f"{plain_word(programs[0])} is a file that can run code when it is read; "
            "only GGUF and safetensors are taken"
        )
    if REMOTE in names:
        return _elsewhere(folder)
    raise Unreadable(f"there is no GGUF and no safetensors file in it, and no {REMOTE}")


def _file_alone(path: Path) -> list[str]:
    if path.suffix != ".gguf":
        raise Unreadable(
            f"{plain_word(path.name)} is no GGUF file; of safetensors the whole folder is needed"
        )
    names = shards(path.name) or [check_name(path.name)]
    missing = [name for name in names if not (path.parent / name).is_file()]
    if missing:
        raise Unreadable(f"{plain_word(missing[0])} is missing, which belongs to it")
    return names


def _elsewhere(folder: Path) -> Facts:
    """A model that somebody else serves: nothing else of the folder belongs to it, and it answers chats as it likes."""
    try:
        read_where(folder / REMOTE)
    except ModelRefused as error:
        raise Unreadable(f"{REMOTE} does not say where the model is: {error.hint}") from error
    return Facts(format=ModelFormat.REMOTE, main=REMOTE, files=(REMOTE,), chat_template=True)


def _gguf(folder: Path, names: list[str], weights: list[str]) -> Facts:
    first = weights[0]
    whole = shards(first) or [first]
    if weights != whole:
        listed = ", ".join(plain_word(name) for name in weights[:4])
        raise Unreadable(
            f"it has several GGUF files that are not parts of one ({listed}): choose one with --file"
        )
    heads = []
    for name in whole:
        try:
            heads.append(gguf.read_head(folder / name))
        except Unreadable as error:
            raise Unreadable(f"{plain_word(name)} is refused: {error}") from error
    found = gguf.facts_of(heads[0])
    found["parameters"] = sum(one.elements for head in heads for one in head.tensors) or None
    if not found["architecture"] or not found["parameters"]:
        raise Unreadable(f"{plain_word(first)} has no architecture, or no weights")
    taken, left = _beside(folder, names, set(whole))
    return Facts.model_validate(
        {**found, "format": ModelFormat.GGUF, "main": first, "files": taken, "left_out": left}
    )


def _safetensors(folder: Path, names: list[str], weights: list[str]) -> Facts:
    configuration.refuse_custom_code(folder)
    found = configuration.facts_of(folder)
    _check_index(folder, set(weights))
    types: Counter[str] = Counter()
    for name in weights:
        try:
            types += safetensors.read_head(folder / name).types
        except Unreadable as error:
            raise Unreadable(f"{plain_word(name)} is refused: {error}") from error
    if not found["quantisation"]:
        found["quantisation"] = types.most_common(1)[0][0] if types else ""
        found["parameters"] = types.total() or None
    taken, left = _beside(folder, names, set(weights))
    return Facts.model_validate(
        {**found, "format": ModelFormat.SAFETENSORS, "main": ".", "files": taken, "left_out": left}
    )


def _check_index(folder: Path, weights: set[str]) -> None:
    """All files that the index names are there."""
    named = configuration.read_json(folder / "model.safetensors.index.json").get("weight_map", {})
    if not isinstance(named, dict):
        raise Unreadable("model.safetensors.index.json is wrong")
    missing = {str(one) for one in named.values()} - weights
    if missing:
        raise Unreadable(f"{plain_word(min(missing))} is missing, which its index names")


def objection(name: str, size: int) -> str:
    """Why a file beside the weights is not taken; empty for one that is."""
    path = Path(name)
    if path.suffix.lower() in PROGRAMS:
        return "it can run code when it is read"
    if path.suffix.lower() not in _BESIDE and not _LICENCES.match(path.name):
        return "no part of a model"
    return "too large" if size > _LARGEST_BESIDE else ""


def _beside(folder: Path, names: list[str], weights: set[str]) -> tuple[tuple[str, ...], LeftOut]:
    """What else is taken with the weights, and what is not."""
    taken, left = [], []
    for name in names:
        if name in weights:
            taken.append(name)
        elif name != MANIFEST:
            why = objection(name, (folder / name).stat().st_size)
            if why:
                left.append((name, why))
            else:
                taken.append(name)
    return tuple(taken), tuple(left[:100])
