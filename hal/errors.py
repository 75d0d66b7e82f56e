"""Errors of the hardware layer.

Drivers translate whatever their library raises into one of these; `agent/charging/station.py` turns
them into faults. A class exists only because some code catches it by name.

    HalError
        DeviceMissing          the port, chip or address is not there (unplugged, wrong path)
        DeviceTimeout          the device is there but does not answer in time
        DeviceProtocolError    it answers, but not what its protocol allows (or speaks another version)
        DeviceFault(code)      it answers that it cannot or must not: `code` is the device's reason
        OutOfRange             the caller asked for something the device can never do
"""

__all__ = ["DeviceFault", "DeviceMissing", "DeviceProtocolError", "DeviceTimeout", "HalError", "OutOfRange"]


class HalError(Exception):
    """Base of everything a driver raises."""


class DeviceMissing(HalError):
    """The device cannot be reached at all."""


class DeviceTimeout(HalError):
    """The device did not answer within its time limit."""


class DeviceProtocolError(HalError):
    """The device broke its protocol, or speaks a version that we do not."""


class DeviceFault(HalError):
    """The device refused: `code` says why, in the words of `hal.ports.FaultCode` or of the action result."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.detail = detail


class OutOfRange(HalError):
    """A value that this device can never take."""
