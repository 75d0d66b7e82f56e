"""gpiod as the kernel's voice: what is asked of it, and what its events mean. The request itself is played."""

import errno
import os
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

gpiod = pytest.importorskip("gpiod")

from gpiod.line import Bias, Direction, Edge, Value  # noqa: E402

from hal.bus import gpiod_line  # noqa: E402
from hal.bus.gpio import LinePlan  # noqa: E402
from hal.bus.gpiod_line import GpiodLine  # noqa: E402
from hal.errors import DeviceMissing  # noqa: E402


class PlayedRequest:
    """A `gpiod.LineRequest` as far as it is used."""

    fd = 7

    def __init__(self) -> None:
        self.value = Value.INACTIVE
        self.is_released = False

    def get_value(self, line: int | str) -> Value:
        return self.value

    def set_value(self, line: int | str, value: Value) -> None:
        self.value = value

    def read_edge_events(self) -> list[Any]:
        kinds = gpiod.EdgeEvent.Type
        return [SimpleNamespace(event_type=kind) for kind in (kinds.RISING_EDGE, kinds.FALLING_EDGE)]

    def release(self) -> None:
        self.is_released = True


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    asked: dict[str, Any] = {"request": PlayedRequest()}

    def request_lines(
        chip: str, consumer: str, config: dict[int | str, Any], event_buffer_size: int
    ) -> PlayedRequest:
        ((asked["line"], asked["settings"]),) = config.items()
        asked.update(chip=chip, consumer=consumer)
        request: PlayedRequest = asked["request"]
        return request

    monkeypatch.setattr(gpiod, "request_lines", request_lines)
    return asked


def test_an_input_is_requested_with_edges_bias_and_debouncing_by_the_kernel(asked: dict[str, Any]) -> None:
    plan = LinePlan("/dev/gpiochip4", "GPIO17", active_low=True, bias="pull_up", debounce_ms=20)
    line = GpiodLine(plan)
    settings = asked["settings"]
    assert (asked["chip"], asked["consumer"], asked["line"]) == ("/dev/gpiochip4", "evse-agent", "GPIO17")
    assert (settings.direction, settings.edge_detection) == (Direction.INPUT, Edge.BOTH)
    assert (settings.bias, settings.active_low) == (Bias.PULL_UP, True)
    assert settings.debounce_period == timedelta(milliseconds=20)
    assert line.fileno() == 7
    assert line.read_edges() == [True, False]
    asked["request"].value = Value.ACTIVE
    assert line.get() is True
    line.release()
    assert asked["request"].is_released


def test_an_output_is_requested_off_and_switched(asked: dict[str, Any]) -> None:
    line = GpiodLine(LinePlan("/dev/gpiochip0", "4", is_output=True))
    settings = asked["settings"]
    assert asked["line"] == 4, "a number is a line's place on the chip"
    assert (settings.direction, settings.edge_detection) == (Direction.OUTPUT, Edge.NONE)
    assert settings.output_value is Value.INACTIVE
    for on, value in ((True, Value.ACTIVE), (False, Value.INACTIVE)):
        line.set(on)
        assert asked["request"].value is value


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EBUSY, os.strerror(errno.EBUSY)),
        ValueError("no such line"),
        OverflowError("a number of 31 digits"),
    ],
)
def test_a_line_that_cannot_be_had_is_missing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(gpiod, "request_lines", refuse)
    with pytest.raises(DeviceMissing, match=r"/dev/gpiochip0 line GPIO17"):
        GpiodLine(LinePlan("/dev/gpiochip0", "GPIO17"))


# ---- chips by their label


@pytest.fixture
def labels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """Chip -> label, of chips that are files in a folder."""
    labels: dict[str, str] = {}

    class PlayedChip:
        def __init__(self, path: str) -> None:
            self._name = Path(path).name

        def __enter__(self) -> "PlayedChip":
            return self

        def __exit__(self, *error: object) -> None: ...

        def get_info(self) -> SimpleNamespace:
            return SimpleNamespace(label=labels[self._name])

    monkeypatch.setattr(gpiod, "Chip", PlayedChip)
    monkeypatch.setattr(gpiod_line, "CHIPS", tmp_path)
    for number, label in enumerate(("pinctrl-rp1", "mcp2221", "twin", "twin")):
        (tmp_path / f"gpiochip{number}").touch()
        labels[f"gpiochip{number}"] = label
    return labels


def test_a_chip_is_found_by_its_label_whatever_its_number(
    asked: dict[str, Any], labels: dict[str, str]
) -> None:
    GpiodLine(LinePlan("mcp2221", "0"))
    assert Path(asked["chip"]).name == "gpiochip1"
    labels["gpiochip1"], labels["gpiochip0"] = labels["gpiochip0"], labels["gpiochip1"]
    GpiodLine(LinePlan("mcp2221", "0"))
    assert Path(asked["chip"]).name == "gpiochip0"


@pytest.mark.parametrize(
    ("label", "why"), [("none", "no chip is labelled so"), ("twin", r"gpiochip2 and .*gpiochip3 are both")]
)
def test_a_label_that_no_chip_or_two_have_is_missing(
    asked: dict[str, Any], labels: dict[str, str], label: str, why: str
) -> None:
    with pytest.raises(DeviceMissing, match=f"{label} line 0: .*{why}"):
        GpiodLine(LinePlan(label, "0"))
