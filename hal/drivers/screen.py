"""A display that another program of the station drives: a browser or a panel that reads what to show.

It keeps what was given last; the local API tells it to whoever asks (docs/hardware.md). The simulated station has the
same one. There is no manual: it is no device. Built by hal.factory.
"""

from hal.ports import DisplayPage


class Screen:
    """Implements `hal.ports.Display`."""

    def __init__(self) -> None:
        self.page: DisplayPage | None = None
        """What stands on it."""

    async def show(self, page: DisplayPage | None) -> None:
        self.page = page
