"""What can keep a job from giving an outcome."""

from typing import ClassVar

from appliance.lib.errors import MillwrightError


class SandboxUnavailable(MillwrightError):
    """There is no sandbox right now. Nothing of the job has run."""

    code: ClassVar[str] = "sandbox.unavailable"
    permanent: ClassVar[bool] = False


class JobRefused(MillwrightError):
    """The sandbox does not take this job as it stands. Nothing of it has run."""

    code: ClassVar[str] = "sandbox.refused"
    permanent: ClassVar[bool] = True


class JobLost(MillwrightError):
    """The sandbox went away while the job ran: it may have done all, some or none of its work.

    The sandbox still ends whatever is left of it. For a step whose effect is unsafe this means *ambiguous*.
    """

    code: ClassVar[str] = "sandbox.lost"
    permanent: ClassVar[bool] = False


class ImageRefused(MillwrightError):
    """An image that is not pinned, or cannot be."""

    code: ClassVar[str] = "sandbox.image"
    permanent: ClassVar[bool] = True
