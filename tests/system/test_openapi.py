"""The running agent, opened to the network as docs/access.md says, does what its OpenAPI document says.

Schemathesis finds nothing, every action leaves its row in the audit, and the agent is still well."""

import asyncio
import contextlib
import json
import os
import socket
import ssl
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from tests.helpers.process import AgentProcess

DATA = Path(__file__).parents[1] / "data"
PROGRAMS = Path(sys.executable).parent
BUDGET_S = int(os.environ.get("OPENAPI_SECONDS", "15"))
SEED = os.environ.get("OPENAPI_SEED", "9")


async def run(
    program: str, *arguments: str, typed: str = "", cwd: Path | None = None, **environment: str
) -> str:
    """What it says; it must end well."""
    process = await asyncio.create_subprocess_exec(
        str(PROGRAMS / program),
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, **environment},
        cwd=cwd,
    )
    said, _ = await asyncio.wait_for(process.communicate(typed.encode()), BUDGET_S + 75)
    assert process.returncode == 0, said.decode()
    return said.decode()


async def command(agent: AgentProcess, *arguments: str, typed: str = "") -> str:
    return await run("evse-agent", *arguments, "--config", str(agent.config), typed=typed)


def served_by(folder: Path, authority: Path) -> str:
    """Writes a certificate of a new authority; the lines of [web] for it."""
    issuer = trustme.CA()
    issuer.cert_pem.write_to_path(authority)
    leaf = issuer.issue_cert("127.0.0.1")
    leaf.cert_chain_pems[0].write_to_path(folder / "web.pem")
    leaf.private_key_pem.write_to_path(folder / "web.key")
    return f'certificate_file = "{folder}/web.pem"\nkey_file = "{folder}/web.key"\n'


def is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True


async def becomes(true: Callable[[], bool]) -> bool:
    for _ in range(200):
        if true():
            return True
        await asyncio.sleep(0.1)
    return False


@pytest.mark.system
async def test_schemathesis_finds_nothing_wrong_with_the_running_agent(tmp_path: Path) -> None:
    authority = tmp_path / "authority.pem"
    agent = AgentProcess(tmp_path, "ws://127.0.0.1:9/")
    listen = f'listen = "0.0.0.0:{agent.port}"\n' + served_by(tmp_path, authority)
    agent.config.write_text(agent.config.read_text().replace(f'listen = "127.0.0.1:{agent.port}"\n', listen))
    await agent.start()
    try:
        assert await becomes(lambda: (tmp_path / "state" / "api.sock").exists())
        assert not is_open(agent.port)
        await command(agent, "passwd", "--stdin", typed="correct horse\n")
        token = (await command(agent, "token", "create", "schemathesis")).strip()
        assert await becomes(lambda: is_open(agent.port))
        await run(
            "schemathesis",
            f"--config-file={DATA / 'schemathesis.toml'}",
            "run",
            f"https://127.0.0.1:{agent.port}/api/v1/openapi.json",
            f"--tls-verify={authority}",
            f"--header=Authorization: Bearer {token}",
            "--exclude-path=/api/v1/events",  # never ends; tests/web/test_events.py
            f"--max-time={BUDGET_S}",
            f"--seed={SEED}",
            "--generation-database=none",
            "--request-timeout=8",
            "--suppress-health-check=all",
            "--no-color",
            cwd=tmp_path,  # it leaves a folder where it runs
            SCHEMATHESIS_HOOKS=str(DATA / "schemathesis_hooks.py"),
        )
        rows = (await command(agent, "audit", "--limit", "1000", "--json")).rstrip("\n").split("\n")
        sources = {json.loads(row)["source"] for row in rows}
        assert "installer token:schemathesis 127.0.0.1" in sources
        assert token not in "".join(rows)
        status = json.loads(await command(agent, "status", "--json"))
        assert status["crashed_tasks"] == {}
        trusting = ssl.create_default_context(cafile=authority)
        with (
            socket.create_connection(("127.0.0.1", agent.port)) as plain,
            trusting.wrap_socket(plain, server_hostname="127.0.0.1") as held,
        ):
            await command(agent, "passwd", "--remove")
            assert await becomes(lambda: not is_open(agent.port))
            with contextlib.suppress(ConnectionResetError, ssl.SSLError):
                assert held.recv(1) == b""
        log = agent.log.read_text()
        assert "is not opened until a password is set: evse-agent passwd" in log
        assert "Traceback" not in log
        assert token not in log
    finally:
        await agent.stop()
