"""A real FTP or FTPS server on loopback, used as `file_servers.HttpFiles` is."""

import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import trustme
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import DTPHandler, FTPHandler, TLS_DTPHandler, TLS_FTPHandler
from pyftpdlib.ioloop import IOLoop
from pyftpdlib.servers import FTPServer

from tests.helpers.file_servers import USER, Files


class FtpFiles(Files):
    """Plain, or with `ca` FTPS: AUTH TLS, or TLS from the first byte (`is_implicit`). Runs in a thread."""

    is_implicit = False
    knows_rest = True

    async def __aenter__(self) -> Self:
        self.scheme = "ftps" if self.ca else "ftp"
        self._loop = IOLoop()
        self._server = FTPServer(("127.0.0.1", 0), self._handler(), ioloop=self._loop)
        self.port = self._server.address[1]
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="ftp server")
        self._thread.start()
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()

    def _serve(self) -> None:
        while not self._ending.is_set():
            self._loop.loop(timeout=0.01, blocking=False)
        self._server.close_all()
        self._loop.close()

    def _handler(self) -> type[Any]:
        files = self
        authorizer = DummyAuthorizer()
        if self.password is None:
            authorizer.add_anonymous(str(self.root))
        else:
            authorizer.add_user(USER, self.password, str(self.root), perm="elradfmwMT")
            authorizer.add_user("reader", "reader", str(self.root), perm="elr")

        class Data(TLS_DTPHandler if self.ca else DTPHandler):  # type: ignore[misc]
            def __init__(self, *args: Any, **options: Any) -> None:
                super().__init__(*args, **options)
                self.cut = files.take_cut()

            def _is_over(self, size: int) -> bool:
                if self.cut is None or size < self.cut:
                    return False
                if files.hangs:
                    self.del_channel()
                else:
                    self.cmd_channel.close()
                return True

            def send(self, block: bytes) -> Any:
                return None if self._is_over(self.get_transmitted_bytes()) else super().send(block)

            def recv(self, size: int) -> Any:
                return b"" if self._is_over(self.get_transmitted_bytes()) else super().recv(size)

        class Handler(TLS_FTPHandler if self.ca else FTPHandler):  # type: ignore[misc]
            dtp_handler = Data
            auth_failed_timeout = 0
            use_sendfile = False
            is_secured = False

            def pre_process_command(self, line: str, command: str, argument: str) -> None:
                files.requests.append(line)
                if command == "REST" and not files.knows_rest:
                    self.respond("502 not implemented")
                else:
                    super().pre_process_command(line, command, argument)

            def handle(self) -> None:
                if files.is_implicit:
                    self.secure_connection(self.get_ssl_context())
                else:
                    super().handle()

            def handle_ssl_established(self) -> None:
                if files.is_implicit and not self.is_secured:
                    self.is_secured = True
                    super().handle()

        Handler.authorizer = authorizer
        if self.ca:
            Handler.certfile = str(self._certificate(self.ca))
            Handler.tls_control_required = True
            Handler.tls_data_required = True
        return Handler

    def _certificate(self, ca: trustme.CA) -> Path:
        path = self.root.parent / "ftp-server.pem"
        issued = ca.issue_cert("localhost")
        chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        path.write_bytes(issued.private_key_pem.bytes() + chain)
        return path
