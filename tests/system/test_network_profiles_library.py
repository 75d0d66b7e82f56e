"""Moving between two independent CSMSs with real processes: SetNetworkProfile, a reset, a power cut in between."""

from pathlib import Path
from typing import Any

import pytest

from tests.helpers.library_csms201 import LibraryCsms201, call
from tests.helpers.process import AgentProcess

pytestmark = [pytest.mark.system]

EXTRA = """
[settings]
"OCPPCommCtrlr.RetryBackOffWaitMinimum" = 1
"OCPPCommCtrlr.RetryBackOffRandomRange" = 0
"OCPPCommCtrlr.RetryBackOffRepeatTimes" = 0
"OCPPCommCtrlr.NetworkProfileConnectionAttempts" = 1
"""


async def send_away(csms: LibraryCsms201, url: str) -> None:
    """The station is to connect to `url` after its next start."""
    profile: dict[str, Any] = {
        "ocpp_version": "OCPP20",
        "ocpp_transport": "JSON",
        "ocpp_csms_url": url,
        "message_timeout": 30,
        "security_profile": 0,
        "ocpp_interface": "Wired0",
    }
    answer = await csms.call(call.SetNetworkProfile(configuration_slot=2, connection_data=profile))
    assert answer.status == "Accepted"
    priority = {
        "attribute_value": "2,1",
        "component": {"name": "OCPPCommCtrlr"},
        "variable": {"name": "NetworkConfigurationPriority"},
    }
    (result,) = (await csms.call(call.SetVariables(set_variable_data=[priority]))).set_variable_result
    assert result["attribute_status"] == "RebootRequired"


@pytest.mark.req("B09.FR.01", "B10.FR.01", "B10.FR.04", "B10.FR.06", "TC_B_45_CS")
async def test_from_one_csms_to_the_next_and_back_when_that_one_is_gone(tmp_path: Path) -> None:
    async with LibraryCsms201() as old:
        agent = AgentProcess(tmp_path, old.url, EXTRA, version="ocpp2.0.1")
        async with LibraryCsms201() as new:
            await agent.start()
            await old.until(lambda seen: seen.of("StatusNotification"))
            await send_away(old, new.url)
            await agent.kill()  # the answers were on the disk
            await agent.start()
            await new.until(lambda seen: seen.of("StatusNotification"))
            assert len(old.of("BootNotification")) == 1
            assert (await new.call(call.Reset(type="OnIdle"))).status == "Accepted"
            await new.until(lambda seen: seen.of("(closed)"))
            await agent.kill()
        await agent.start()  # the new one does not listen any more
        await old.until(lambda seen: len(seen.of("BootNotification")) == 2)
        await agent.stop()
