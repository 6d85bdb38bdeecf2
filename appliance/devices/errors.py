"""What can go wrong with devices."""

from appliance.lib.errors import MillwrightError


class DeviceRefused(MillwrightError):
    """A name, a pattern or a change that cannot be accepted."""

    code = "devices.refused"


class DeviceUnknown(MillwrightError):
    """No device of that name has an account."""

    code = "devices.unknown"


class BrokerNotOurs(MillwrightError):
    """The broker is not the embedded one, so its accounts are managed where it runs."""

    code = "devices.broker_not_ours"


class ReadingsRefused(MillwrightError):
    """A stretch of time, a path or a number of points that makes no sense."""

    code = "devices.readings_refused"


class ChartNotDrawn(MillwrightError):
    """The picture could not be made; what it would show can still be said in words."""

    code = "devices.chart_not_drawn"
