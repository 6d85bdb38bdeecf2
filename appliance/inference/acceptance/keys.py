"""What an acceptance of a way to run a model has to be for now."""

from appliance.inference.acceptance.domain import profile_key
from appliance.inference.backends.contract import Profile
from appliance.inference.domain import EngineKind
from appliance.lib.config import get_config


def key_now(profile: Profile) -> str:
    """Its key with the images that are named now."""
    in_container = profile.engine in (EngineKind.TRTLLM, EngineKind.VLLM) or (
        profile.engine is EngineKind.LLAMACPP and bool(profile.device)
    )
    images = [one.image for one in get_config().model_images if one.engine == profile.engine.value]
    return profile_key(profile, images if in_container else ())
