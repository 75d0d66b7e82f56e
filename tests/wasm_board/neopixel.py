"""The `neopixel` module of the simulated board, as much of it as `board/hw.py` uses."""

import json

import _electricity as electricity


class NeoPixel:
    def __init__(self, pin, count):
        electricity.touch_pin(pin.number)
        self._colours = [(0, 0, 0)] * count

    def __setitem__(self, index, colour):
        self._colours[index] = colour

    def write(self):
        electricity.write_pixels(json.dumps(self._colours))
