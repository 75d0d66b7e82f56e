"""A real SFTP server on loopback, used as `file_servers.HttpFiles` is."""

import asyncio
import os
from types import TracebackType
from typing import Any, Self

import asyncssh

from tests.helpers.file_servers import USER, Files


class SftpFiles(Files):
    """One host key per instance unless `host_key` is given."""

    scheme = "sftp"
    host_key: asyncssh.SSHKey | None = None

    async def __aenter__(self) -> Self:
        files = self

        class Door(asyncssh.SSHServer):
            def begin_auth(self, username: str) -> bool:
                return True

            def password_auth_supported(self) -> bool:
                return True

            def validate_password(self, username: str, password: str) -> bool:
                return (username, password) == (USER, files.password)

        class Room(asyncssh.SFTPServer):
            def __init__(self, channel: asyncssh.SSHServerChannel[bytes]) -> None:
                super().__init__(channel, chroot=os.fsencode(files.root))
                self.cut: int | None = None

            def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> Any:
                self.cut, self.moved = files.take_cut(), 0
                files.requests.append(f"open {path.decode()}")
                return super().open(path, pflags, attrs)

            def read(self, file_obj: object, offset: int, size: int) -> Any:
                files.requests.append(f"read {offset}")
                return self._cut(offset) or super().read(file_obj, offset, size)

            def write(self, file_obj: object, offset: int, data: bytes) -> Any:
                files.requests.append(f"write {offset}")
                return self._cut(offset) or super().write(file_obj, offset, data)

            def _cut(self, offset: int) -> Any:
                if self.cut is None or offset < self.cut:
                    return None
                if not files.hangs:
                    self.channel.get_connection().abort()
                return asyncio.shield(files._over)

        self.host_key = self.host_key or asyncssh.generate_private_key("ssh-ed25519")
        self._over = asyncio.get_running_loop().create_future()
        self._listener = await asyncssh.listen(
            "localhost", 0, server_factory=Door, sftp_factory=Room, server_host_keys=[self.host_key]
        )
        self.port = self._listener.get_port()
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._over.set_exception(asyncssh.SFTPConnectionLost("the server ends"))
        self._listener.close()
        await self._listener.wait_closed()
        for _ in range(10):
            await asyncio.sleep(0)
        self._over.exception()
