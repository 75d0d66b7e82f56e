"""The command line's side of the local API: one request over the unix socket, or one stream.

Standard library only, so that commands answer fast. Called by `agent/cli.py`.
"""

import http.client
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlencode

from agent.web.unix_socket import connect

BLOCK_BYTES = 64 * 1024


class NoAgent(Exception):
    """Nobody answers on the socket."""


class ApiError(Exception):
    """The agent answered with an error."""

    def __init__(self, status: int, message: str, field: str | None) -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.status = status


class ApiClient:
    """Talks to the agent whose socket is at `socket_path`. Raises NoAgent, ApiError and PermissionError."""

    def __init__(self, socket_path: Path, timeout_s: float = 60.0) -> None:
        self.socket_path = socket_path
        self._timeout_s = timeout_s

    def get(self, path: str, **query: object) -> Any:
        return self._request("GET", path + _query(query), None)

    def post(self, path: str, body: object) -> Any:
        return self._request("POST", path, body)

    def delete(self, path: str) -> Any:
        return self._request("DELETE", path, None)

    def download(
        self,
        path: str,
        out: BinaryIO,
        *,
        on_progress: Callable[[int, int | None], None] | None = None,
        **query: object,
    ) -> None:
        """Write what comes into `out`; `on_progress(bytes so far, total or None)`. Raises OSError of the disk, too."""
        with self._open("GET", path + _query(query), None, self._timeout_s) as response:
            length = response.getheader("Content-Length")
            done, total = 0, None if length is None else int(length)
            while block := response.read(BLOCK_BYTES):
                out.write(block)
                done += len(block)
                if on_progress is not None:
                    on_progress(done, total)
            if total is not None and done < total:
                raise ConnectionError(f"{done} of {total} bytes came")

    def stream(self, path: str, **query: object) -> Iterator[Any]:
        """The JSON contents of a server-sent event stream, until the agent ends it."""
        for _event, content in self.events(path, **query):
            yield content

    def events(self, path: str, **query: object) -> Iterator[tuple[str, Any]]:
        """The same with the name of each event."""
        with self._open("GET", path + _query(query), None, timeout_s=None) as response:
            event = ""
            for line in response:
                if line.startswith(b"event: "):
                    event = line[7:].decode().strip()
                elif line.startswith(b"data: "):
                    yield event, json.loads(line[6:])

    def _request(self, method: str, path: str, body: object) -> Any:
        with self._open(method, path, body, self._timeout_s) as response:
            return json.loads(response.read())

    @contextmanager
    def _open(
        self, method: str, path: str, body: object, timeout_s: float | None
    ) -> Iterator[http.client.HTTPResponse]:
        connection = http.client.HTTPConnection("localhost")
        try:
            connection.sock = connect(self.socket_path, timeout_s)
        except PermissionError:
            raise
        except OSError as error:
            raise NoAgent(str(error)) from error
        try:
            content = None if body is None else json.dumps(body).encode()
            headers = {"Connection": "close", "Content-Type": "application/json"}
            connection.request(method, path, content, headers)
            response = connection.getresponse()
            if response.status >= 400:
                answer = json.loads(response.read())
                raise ApiError(response.status, answer["error"], answer["field"])
            yield response
        except TimeoutError as error:
            raise ApiError(504, f"the agent did not answer within {timeout_s:g} s", None) from error
        except (ConnectionError, http.client.HTTPException) as error:
            raise NoAgent(f"the agent closed the connection ({error})") from error
        finally:
            connection.close()


def _query(query: dict[str, object]) -> str:
    given = {name: value for name, value in query.items() if value is not None}
    return f"?{urlencode(given)}" if given else ""
