"""What a test of a model is, and what it finds."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

from appliance.inference.acceptance.engine import Engine
from appliance.inference.acceptance.golden_sets import GoldenSet
from appliance.inference.backends.contract import Profile
from appliance.inference.catalogue.manifest import Manifest
from appliance.lib.digest import sha256_hex
from appliance.lib.jsontypes import JsonObject


class Bound(StrEnum):
    AT_LEAST = "at_least"
    AT_MOST = "at_most"


class Unit(StrEnum):
    SHARE = "share"
    """Of all that were tried, 0 to 1."""
    FAULTS = "faults"
    TOKENS = "tokens"
    DISTANCE = "distance"
    """By how much the cosine of what is near is greater than that of what is far."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one test found: ``figure`` measured in ``unit``, ``limit`` as ``bound`` has it, and why in plain words."""

    name: str
    figure: float
    limit: float
    bound: Bound
    unit: Unit
    detail: str
    seconds: float = 0.0
    failed: bool = False
    """Whatever the figure says."""

    @property
    def passed(self) -> bool:
        kept = self.figure >= self.limit if self.bound is Bound.AT_LEAST else self.figure <= self.limit
        return kept and not self.failed

    def to_json(self) -> JsonObject:
        return {
            **asdict(self),
            "figure": round(self.figure, 4),
            "limit": round(self.limit, 4),
            "passed": self.passed,
            "seconds": round(self.seconds, 3),
            "detail": str(self.detail),
        }


@dataclass(frozen=True, slots=True)
class Subject:
    """Who is tested: a model in an engine, and the sets of the user's own that it is measured by."""

    engine: Engine
    manifest: Manifest
    profile: Profile
    golden: Sequence[GoldenSet] = ()


@dataclass(frozen=True, slots=True)
class Check:
    """One test. ``run`` raises EngineBroke where the engine is gone, and may raise EngineRefused."""

    name: str
    applies: Callable[[Subject], bool]
    run: Callable[[Subject], Awaitable[Result]]


def is_text(subject: Subject) -> bool:
    return not subject.manifest.embeddings


def share(count: int, whole: int) -> float:
    return count / whole if whole else 0.0


def profile_key(profile: Profile, images: Sequence[str] = ()) -> str:
    """64 hexadecimal digits: of what an acceptance holds for, beside the model's own digest. ``images`` are those
    that the operator has named for its engine, where it runs in a container."""
    options = {str(name): value for name, value in profile.options.items()}
    return sha256_hex(
        [
            profile.engine.value,
            profile.context,
            profile.slots,
            profile.device,
            options,
            sorted(images),
        ]
    )


def way_of(profile: Profile) -> JsonObject:
    """A profile as a row keeps it."""
    return {
        "engine": profile.engine.value,
        "context": profile.context,
        "slots": profile.slots,
        "device": profile.device,
        "options": dict(profile.options),
    }
