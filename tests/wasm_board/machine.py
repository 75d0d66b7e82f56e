"""The `machine` module of the simulated board: MicroPython's names over the electricity in electricity.mjs.

As much of the module as `board/hw.py` uses. Bytes cross by address, because bytes objects arrive in JavaScript
as proxies only.
"""

import _electricity as electricity
import uctypes

PWRON_RESET = 1
WDT_RESET = 3


class Pin:
    IN = 0
    OUT = 1
    PULL_UP = 1
    PULL_DOWN = 2
    IRQ_RISING = 8
    IRQ_FALLING = 4

    def __init__(self, number, mode=-1, pull=-1, *, value=None):
        self.number = number
        electricity.touch_pin(number)
        if value is not None:
            electricity.write_pin(number, 1 if value else 0)

    def value(self, level=None):
        if level is None:
            return electricity.read_pin(self.number)
        electricity.write_pin(self.number, 1 if level else 0)

    def irq(self, handler, trigger, *, hard=False):
        electricity.on_falling(self.number, lambda: handler(self))


class PWM:
    def __init__(self, pin, *, freq, duty_u16):
        self._pin = pin.number
        self._freq = freq
        self.duty_u16(duty_u16)

    def duty_u16(self, duty):
        electricity.write_pwm(self._pin, self._freq, duty)


class ADC:
    def __init__(self, number):
        self._number = number

    def read_u16(self):
        return electricity.read_adc(self._number)


class UART:
    def __init__(self, number, baudrate, *, tx, rx, rxbuf, txbuf):
        self._number = number

    def any(self):
        return electricity.uart_any(self._number)

    def readinto(self, buffer):
        return electricity.uart_read(self._number, uctypes.addressof(buffer), len(buffer))

    def write(self, octets):
        return electricity.uart_write(self._number, uctypes.addressof(octets), len(octets))


class WDT:
    def __init__(self, *, timeout):
        electricity.start_watchdog(timeout)

    def feed(self):
        electricity.feed_watchdog()


def reset():
    electricity.reset()


def bootloader():
    electricity.reset()


def reset_cause():
    return electricity.reset_cause()


def unique_id():
    return b"WASM"
