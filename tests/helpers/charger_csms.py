"""A CSMS on the simulated charger's own loopback that welcomes every station. A process of its own."""

import asyncio
import json
from datetime import UTC, datetime

import websockets
from websockets.asyncio.server import ServerConnection, serve

PORT = 9000


async def welcome(connection: ServerConnection) -> None:
    try:
        async for text in connection:
            kind, message_id, *rest = json.loads(text)
            if kind == 2:
                now = datetime.now(UTC).isoformat()
                answers = {
                    "BootNotification": {"status": "Accepted", "currentTime": now, "interval": 300},
                    "Heartbeat": {"currentTime": now},
                    "Authorize": {"idTagInfo": {"status": "Accepted"}},
                    "StartTransaction": {"transactionId": 1, "idTagInfo": {"status": "Accepted"}},
                }
                answer = answers.get(rest[0], {})
                await connection.send(json.dumps([3, message_id, answer]))
    except websockets.ConnectionClosed:
        pass


async def main() -> None:
    async with serve(welcome, "127.0.0.1", PORT, subprotocols=[websockets.Subprotocol("ocpp1.6")]):
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(main())
