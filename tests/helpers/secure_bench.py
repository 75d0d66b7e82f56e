"""A station with credentials on the bench: TLS servers, questions, and what was told and noted of its security."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from agent.charging.facts import SecurityEventRaised
from agent.store.security_log import SqlSecurityLog
from tests.helpers.authorities import Authority, Issued
from tests.helpers.bench import Bench, friendly
from tests.helpers.csms import Csms
from tests.helpers.csms_calls import Handshake

KEY = "00112233445566778899AABBCCDDEEFF"
OTHER_KEY = "FFEEDDCCBBAA99887766554433221100FFEEDDCC"
CPO = '[settings]\nCpoName = "Example Org"\n'


@asynccontextmanager
async def tls_csms(server: Issued, client_roots: str = "") -> AsyncIterator[Csms]:
    context = server.server_context(client_roots)
    async with Csms(ssl_context=context, host="localhost") as csms:
        yield friendly(csms)


async def online(bench: Bench) -> None:
    await bench.until(lambda: bench.agent.conversation.is_online)
    await bench.run_for(seconds=15)


async def ask(bench: Bench, action: str, **payload: Any) -> Any:
    answer = await bench.csms.call(action, payload)
    assert answer.error is None, answer.description
    return answer.payload


async def change(bench: Bench, key: str, value: str) -> str:
    answer = await ask(bench, "ChangeConfiguration", key=key, value=value)
    return str(answer["status"])


def events(bench: Bench) -> list[str]:
    return [each["type"] for each in bench.sent("SecurityEventNotification")]


async def logged(bench: Bench) -> list[SecurityEventRaised]:
    return list(await SqlSecurityLog(bench.agent.database).rows(None, None))


def password_of(handshake: Handshake) -> bytes | None:
    header = handshake.headers.get("Authorization")
    if header is None:
        return None
    user, _colon, password = base64.b64decode(header.removeprefix("Basic ")).partition(b":")
    assert user == b"CP001"
    return bytes(password)


def keys_of(root: Authority, tmp_path: Path, **more: Any) -> str:
    path = tmp_path / "root.pem"
    path.write_text(root.pem)
    given = {"ca_file": str(path), **more}
    return "\n".join(f"{name} = {value!r}" for name, value in given.items())
