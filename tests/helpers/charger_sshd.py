"""The SSH server of a simulated charger: root, one key, commands only. A process of its own: `charger_sshd KEYS`."""

import asyncio
import sys
from pathlib import Path

import asyncssh

ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C",
}


async def pour(source: asyncio.StreamReader, sink: "asyncssh.SSHWriter[bytes]") -> None:
    while block := await source.read(65536):
        sink.write(block)
        await sink.drain()


async def feed(source: "asyncssh.SSHReader[bytes]", sink: asyncio.StreamWriter) -> None:
    try:
        while block := await source.read(65536):
            sink.write(block)
            await sink.drain()
    except (ConnectionError, asyncssh.Error):
        pass
    finally:
        sink.close()


async def serve(client: "asyncssh.SSHServerProcess[bytes]") -> None:
    pipe = asyncio.subprocess.PIPE
    command = await asyncio.create_subprocess_exec(
        "/bin/bash",
        "-c",
        client.command or "exit 1",
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        env=ENVIRONMENT,
        cwd="/root",
    )
    assert command.stdin is not None
    assert command.stdout is not None
    assert command.stderr is not None
    feeding = asyncio.create_task(feed(client.stdin, command.stdin))
    try:
        await asyncio.gather(pour(command.stdout, client.stdout), pour(command.stderr, client.stderr))
        client.exit(await command.wait())
    finally:
        feeding.cancel()


async def main(keys: Path) -> None:
    await asyncssh.listen(
        "127.0.0.1",
        22,
        server_host_keys=[str(keys / "host")],
        authorized_client_keys=str(keys / "user.pub"),
        process_factory=serve,
        encoding=None,
    )
    await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
