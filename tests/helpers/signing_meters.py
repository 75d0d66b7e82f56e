"""Meters that sign, played as Modbus units: the state machines of the EM580 and of the WM3M4 with keys of their own.

They share nothing with the drivers but the checksum: registers, states and records stand here once more, as the makers'
protocols (through EVerest) say. `energy_wh` is what they show; `now` what they take the time to be.
"""

import asyncio
import json
import struct
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hal.bus.modbus import with_crc
from tests.helpers.links import MemoryLine


def words_of(octets: bytes) -> list[int]:
    padded = octets + b"\0" * (len(octets) % 2)
    return list(struct.unpack(f">{len(padded) // 2}H", padded))


class WritableUnit:
    """Holding registers that can be read (3) and written (16); what is not there is refused with exception 2."""

    def __init__(self, line: MemoryLine, unit: int, on_write: Callable[[int, list[int]], None]) -> None:
        self.line = line
        self.unit = unit
        self.registers: dict[int, int] = {}
        self.written: list[tuple[int, list[int]]] = []
        self.is_silent = False
        self.most_words = 125
        self._on_write = on_write
        self._heard = b""
        line.device = self._hear

    def put(self, address: int, words: list[int]) -> None:
        self.registers.update(enumerate(words, address))

    def octets(self, address: int, count: int) -> bytes:
        return struct.pack(f">{count}H", *(self.registers[address + at] for at in range(count)))

    def _hear(self, octets: bytes) -> None:
        self._heard += octets
        size = 8 if self._heard[1:2] != b"\x10" else 9 + (self._heard + b"\0" * 7)[6]
        if len(self._heard) < size:
            return
        frame, self._heard = self._heard[:size], b""
        assert with_crc(frame[:-2]) == frame
        unit, function, address, count = struct.unpack(">BBHH", frame[:6])
        if unit != self.unit or self.is_silent:
            return
        asyncio.get_running_loop().call_soon(self.line.send, self._answer(frame, function, address, count))

    def _answer(self, frame: bytes, function: int, address: int, count: int) -> bytes:
        places = range(address, address + count)
        if count > self.most_words or any(place not in self.registers for place in places):
            return with_crc(bytes((self.unit, function | 0x80, 2)))
        if function == 3:
            words = [self.registers[place] for place in places]
            return with_crc(struct.pack(f">BBB{count}H", self.unit, 3, 2 * count, *words))
        words = list(struct.unpack(f">{count}H", frame[7:-2]))
        self.put(address, words)
        self.written.append((address, words))
        self._on_write(address, words)
        return with_crc(frame[:6])


def reading_of(moment: str, energy_wh: float, at: int) -> dict[str, Any]:
    return {"TM": f"{at} S", "TX": moment, "RV": f"{energy_wh / 1000:.3f}", "RU": "kWh", "ST": "G"}


class Em580Unit:
    """States 0 not ready, 1 running, 2 ready, 3 corrupted in 7100h; commands B and E in 7040h; the file in 7110h."""

    def __init__(self, line: MemoryLine, unit: int = 1) -> None:
        self.energy_wh = 1000.0
        self.key = ec.generate_private_key(ec.BrainpoolP384R1())
        self.refuses_to_begin = False
        self.modbus = modbus = WritableUnit(line, unit, self._on_write)
        modbus.most_words = 80
        for first, count in ((0x7000, 0x48), (0x7100, 2), (0x6900, 126)):
            modbus.put(first, [0] * count)
        modbus.put(0x24FF, [1])
        der = self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        modbus.put(0x2600, (words_of(der) + [0] * 62)[:62])
        self._readings: list[dict[str, Any]] = []

    @property
    def state(self) -> int:
        return self.modbus.registers[0x7100]

    @property
    def public_key(self) -> str:
        return self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo).hex()

    def _text(self, address: int) -> str:
        return self.modbus.octets(address, 20).split(b"\0")[0].decode()

    def _now(self) -> int:
        return sum(self.modbus.registers[0x7032 + at] << 16 * at for at in range(4))

    def _on_write(self, address: int, words: list[int]) -> None:
        if address != 0x7040:
            return
        if words == [ord("B")] and self.state == 0 and not self.refuses_to_begin:
            self._readings = [reading_of("B", self.energy_wh, self._now())]
            self.modbus.put(0x7100, [1])
        elif words == [ord("E")] and self.state == 1:
            self.close()

    def close(self) -> None:
        """The end of the transaction; the meter does that by itself after a power cut."""
        self._readings.append(reading_of("E", self.energy_wh, self._now()))
        payload = json.dumps(
            {
                "FV": "1.0",
                "GI": "EM580",
                "IS": self.modbus.registers[0x7000] == 1,
                "IT": {0: "NONE", 60: "CENTRAL"}[self.modbus.registers[0x7006]],
                "ID": self._text(0x7007),
                "CT": "EVSEID",
                "CI": self._text(0x701C),
                "RD": self._readings,
            },
            separators=(",", ":"),
        )
        signature = self.key.sign(payload.encode(), ec.ECDSA(SHA256())).hex()
        seal = json.dumps({"SA": "ECDSA-brainpoolP384r1-SHA256", "SD": signature}, separators=(",", ":"))
        words = words_of(f"OCMF|{payload}|{seal}".encode())
        self.modbus.put(0x7100, [2, len(words)])
        self.modbus.put(0x7110, words)


class Wm3m4Unit:
    """State in 7000, command in 7051, its status in 7052; frame in 7100, record in 7612, signature in 8188."""

    def __init__(self, line: MemoryLine, unit: int = 33) -> None:
        self.energy_wh = 1000.0
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.signature_status = 15
        self.modbus = modbus = WritableUnit(line, unit, self._on_write)
        for first, count in ((7000, 1), (7051, 9), (7071, 1), (7100, 1024), (8124, 64 + 40)):
            modbus.put(first, [0] * count)
        point = self.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        modbus.put(8124, words_of(point[1:]))
        modbus.put(7052, [1])
        self._readings: list[dict[str, Any]] = []

    @property
    def public_key(self) -> str:
        return self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo).hex()

    def lose_power(self) -> None:
        """The transaction survives; the time and the frame do not."""
        self.modbus.put(7000, [2])
        self.modbus.put(7071, [0])
        self.modbus.put(7100, [0] * 512)

    def _on_write(self, address: int, words: list[int]) -> None:
        if address != 7051:
            return
        registers = self.modbus.registers
        if words == [0x4200] and registers[7000] == 0 and registers[7071] == 2:
            self._readings = [reading_of("B", self.energy_wh, self._now())]
            self.modbus.put(7000, [1])
        elif words == [0x7200] and registers[7000] != 0:
            self._readings.append(reading_of("E", self.energy_wh, self._now()))
            self.modbus.put(7000, [0])
        self._sign()

    def _now(self) -> int:
        return self.modbus.registers[7054] << 16 | self.modbus.registers[7055]

    def _sign(self) -> None:
        size = self.modbus.registers[7056]
        frame = json.loads(self.modbus.octets(7100, (size + 1) // 2)[:size])
        payload = json.dumps(
            frame | {"MV": "Iskra", "MS": "4711", "RD": self._readings}, separators=(",", ":")
        )
        signature = padded(self.key.sign(payload.encode(), ec.ECDSA(SHA256())))
        self.modbus.put(7612, words_of(payload.encode()))
        self.modbus.put(8188, words_of(signature))
        self.modbus.put(7052, [self.signature_status])
        self.modbus.put(7057, [len(payload), len(signature)])


def padded(signature: bytes) -> bytes:
    """As the meter writes it: both numbers filled up with zeros to 33 bytes."""
    numbers = [number.to_bytes(33, "big") for number in decode_dss_signature(signature)]
    body = b"".join(b"\x02\x21" + number for number in numbers)
    return b"\x30" + bytes((len(body),)) + body
