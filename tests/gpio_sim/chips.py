"""A GPIO chip made by the kernel's gpio-sim: pulled up and down, plugged and unplugged through configfs and sysfs.

Needs root and a kernel with gpio-sim. Source: the kernel's "admin-guide/gpio/gpio-sim.rst".
"""

from pathlib import Path

CONFIGFS = Path("/sys/kernel/config/gpio-sim")
LINES = 8


class SimChip:
    """Lines are numbered from 0; `names` are the names of the first ones. The chip's label is `name`."""

    def __init__(self, name: str, names: tuple[str, ...] = ()) -> None:
        self._device = CONFIGFS / name
        self._bank = self._device / "bank0"
        self._bank.mkdir(parents=True)
        (self._bank / "num_lines").write_text(str(LINES))
        (self._bank / "label").write_text(name)
        self.label = name
        self._named = [self._bank / f"line{number}" for number in range(len(names))]
        for folder, line_name in zip(self._named, names, strict=True):
            folder.mkdir()
            (folder / "name").write_text(line_name)
        self.plug()

    @property
    def path(self) -> str:
        return f"/dev/{(self._bank / 'chip_name').read_text().strip()}"

    def plug(self) -> None:
        (self._device / "live").write_text("1")

    def unplug(self) -> None:
        (self._device / "live").write_text("0")

    def pull(self, line: int, up: bool) -> None:
        """What hangs on the line pulls it up or down."""
        (self._line(line) / "pull").write_text("pull-up" if up else "pull-down")

    def level(self, line: int) -> bool:
        """What is on the wire."""
        return (self._line(line) / "value").read_text().strip() == "1"

    def remove(self) -> None:
        if (self._device / "live").read_text().strip() == "1":
            self.unplug()
        for folder in (*self._named, self._bank, self._device):
            folder.rmdir()

    def _line(self, line: int) -> Path:
        device = (self._device / "dev_name").read_text().strip()
        chip = (self._bank / "chip_name").read_text().strip()
        return Path(f"/sys/devices/platform/{device}/{chip}/sim_gpio{line}")
