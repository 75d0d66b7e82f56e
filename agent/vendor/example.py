"""A worked example of a vendor that needs code: org.example.evse.

Identify blinks the status light so that a technician finds the station; ReadMeter gives a fresh reading of
energy and power; CallHome answers at once and then sends a DataTransfer of its own. Enabled by [vendor]
enabled = ["example"]; found by its entry point in pyproject.toml; explained line by line in
docs/vendor-commands.md.
"""

import msgspec

from agent.charging.requests import TransferResult
from agent.vendor.loading import VendorContext
from agent.vendor.registry import Vendor, VendorCall, accepted, rejected
from agent.vendor.table import to_transfer

VENDOR_ID = "org.example.evse"


class Identify(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Data of the message Identify; all of it may be left out."""

    seconds: float = 10.0
    evse: int = 1


def build(context: VendorContext) -> Vendor:
    """The entry point: what this vendor answers to."""

    async def identify(call: VendorCall) -> TransferResult:
        try:
            wanted = msgspec.convert(call.content if call.content is not None else {}, Identify, strict=False)
        except msgspec.ValidationError as error:
            return rejected("bad_args", str(error))
        result = await context.run_action(
            call, "indicator.show", pattern="fast", duration_s=wanted.seconds, evse_id=wanted.evse
        )
        return to_transfer(result)

    async def read_meter(call: VendorCall) -> TransferResult:
        result = await context.run_action(call, "meter.read")
        if result.code != "ok":
            return to_transfer(result)
        return accepted({name: result.values.get(name) for name in ("energy_import_wh", "power_w")})

    async def call_home(_call: VendorCall) -> TransferResult:
        plugged = [number for number, evse in context.snapshot().evses.items() if evse.is_plugged]
        answer = await context.send(VENDOR_ID, "HereIAm", {"plugged": plugged})
        return accepted({"status": answer.status})

    return Vendor(VENDOR_ID, {"Identify": identify, "ReadMeter": read_meter, "CallHome": call_home})
