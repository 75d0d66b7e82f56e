"""The floor: an aiohttp client that answers every call with a fixed text and looks at nothing.

Usage: python -m tests.bench.stations.bare_aiohttp URL asyncio|uvloop SUBPROTOCOL
"""

import asyncio
import sys

import aiohttp

BOOT = '[2,"b","BootNotification",{"chargePointVendor":"Bench","chargePointModel":"Bare"}]'


async def main(url: str, subprotocol: str) -> None:
    async with aiohttp.ClientSession() as session, session.ws_connect(url, protocols=[subprotocol]) as socket:
        await socket.send_str(BOOT)
        async for message in socket:
            text = message.data
            if text.startswith("[2"):
                message_id = text.split('"', 2)[1]
                await socket.send_str(f'[3,"{message_id}",{{"status":"Accepted"}}]')
                if '"reportBase"' in text:
                    await socket.send_str(f'[2,"t{message_id}","NotifyReport",{{}}]')
                if '"requestedMessage"' in text:
                    kind = "StatusNotification" if "StatusNotification" in text else "Heartbeat"
                    await socket.send_str(f'[2,"t{message_id}","{kind}",{{}}]')


if __name__ == "__main__":
    if sys.argv[2] == "uvloop":
        import uvloop

        uvloop.run(main(*sys.argv[1::2]))
    else:
        asyncio.run(main(*sys.argv[1::2]))
