"""A real broker (Mosquitto from Debian) on loopback, and a client that watches it; both for one test.

async with Mosquitto(tmp_path) as broker:
    watcher = await broker.watch("#")
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import aiomqtt

from tests.helpers.debian_packages import program
from tests.helpers.process import free_port


class Seen(NamedTuple):
    topic: str
    payload: bytes
    is_retained: bool

    @property
    def json(self) -> Any:
        return json.loads(self.payload)


class Watcher:
    """Every message that came, in order."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self.client = client
        self.seen: list[Seen] = []
        self._news = asyncio.Event()

    async def run(self) -> None:
        with contextlib.suppress(aiomqtt.MqttError):
            async for message in self.client.messages:
                assert isinstance(message.payload, bytes)
                self.seen.append(Seen(message.topic.value, message.payload, bool(message.retain)))
                self._news.set()

    def latest(self, topic: str) -> Seen | None:
        return next((each for each in reversed(self.seen) if each.topic == topic), None)

    async def until(self, accept: Callable[[Seen], object], timeout_s: float = 20.0, after: int = 0) -> Seen:
        """The first message that `accept` likes, from number `after` on."""
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    self._news.clear()
                    for each in self.seen[after:]:
                        if accept(each):
                            return each
                    await self._news.wait()
        except TimeoutError:
            heard = "\n".join(f"{each.topic} {each.payload[:200]!r}" for each in self.seen[after:])
            raise AssertionError(f"never came; heard:\n{heard}") from None

    async def json_until(
        self,
        topic: str,
        accept: Callable[[Any], object] = lambda _: True,
        timeout_s: float = 20.0,
        after: int = 0,
    ) -> Any:
        found = await self.until(
            lambda each: each.topic == topic and accept(each.json), timeout_s=timeout_s, after=after
        )
        return found.json

    async def send(self, topic: str, payload: str | bytes, *, retain: bool = False) -> None:
        await self.client.publish(topic, payload, qos=1, retain=retain)


class Mosquitto:
    """`start` and `kill` as often as a test likes, on one port; nothing is kept over a restart."""

    def __init__(self, folder: Path, extra: str = "allow_anonymous true") -> None:
        self.port = free_port()
        self._config = folder / "mosquitto.conf"
        self._config.write_text(f"listener {self.port} 127.0.0.1\npersistence false\n{extra}\n")
        self._process: asyncio.subprocess.Process | None = None
        self._stack = contextlib.AsyncExitStack()

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()
        await self.kill()

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            program("mosquitto"),
            "-c",
            str(self._config),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        for _ in range(200):
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.close()
                await writer.wait_closed()
                return
            await asyncio.sleep(0.02)
        raise RuntimeError("mosquitto does not listen")

    async def kill(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
            self._process = None

    def pause(self, signal_number: int) -> None:
        """SIGSTOP and SIGCONT: it is there and does not answer."""
        assert self._process is not None
        self._process.send_signal(signal_number)

    @contextlib.asynccontextmanager
    async def watching(self, *topics: str, **login: Any) -> AsyncIterator[Watcher]:
        async with aiomqtt.Client("127.0.0.1", self.port, **login) as client:
            watcher = Watcher(client)
            for topic in topics or ("#",):
                await client.subscribe(topic, qos=1)
            task = asyncio.create_task(watcher.run())
            try:
                yield watcher
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def watch(self, *topics: str, **login: Any) -> Watcher:
        """Until the broker's block ends."""
        return await self._stack.enter_async_context(self.watching(*topics, **login))
