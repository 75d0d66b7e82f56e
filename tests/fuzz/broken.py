"""Damage to frames: to the JSON tree, to the envelope, to the text itself.

Everything is drawn from one random source, so that a run can be repeated by its seed. Damage never makes an address
beyond loopback. Used by `run`.
"""

import copy
import json
import random
from collections.abc import Callable
from typing import Any

STRANGE: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**31, 2**63, -(2**63) - 1, 10**40, 0.5, -0.0, 1e308, "", " ", "0", "null", "x" * 300,
    "\u0000", "\ud800", "\udfff\ud800", "\u202e", "é😀", "%s%n", "../../etc", [], {}, [[]], [None], {"": ""},
    {"a": {"b": {"c": []}}}, "2026-13-45T99:99:99Z", "2026-01-01", "0000-00-00T00:00:00Z",
)  # fmt: skip
MARK = "\u0001raw\u0001"
RAW = (
    "NaN",
    "Infinity",
    "-Infinity",
    "1e999",
    "-1e999",
    "9" * 400,
    "01",
    "1.",
    ".5",
    "0x10",
    "'a'",
    "tru",
    "nul",
    "",
)
"""Put where a value stands, as it is; half of it is no JSON."""
ACTION_NAMES = (
    "",
    "reset",
    "RESET",
    "Reset ",
    "Nope",
    "é",
    "__class__",
    "x" * 5000,
    "GetBaseReport",
    "SetVariables",
    "ChangeConfiguration",
    "RemoteStartTransaction",
)


class Broken:
    def __init__(self, source: random.Random) -> None:
        self._random = source

    def payload(self, payload: dict[str, Any]) -> Any:
        """The payload with one to three faults in it."""
        tree: list[Any] = [copy.deepcopy(payload)]
        for _ in range(self._random.choice((1, 1, 2, 3))):
            parent, key = self._random.choice(list(_places(tree)))
            self._random.choice(self._tree_faults)(parent, key)
        return tree[0]

    @property
    def _tree_faults(self) -> list[Callable[[Any, Any], None]]:
        return [
            self._replace,
            self._replace,
            self._drop,
            self._add,
            self._nest,
            self._swap_type,
            self._raw,
            self._many,
        ]

    def _replace(self, parent: Any, key: Any) -> None:
        parent[key] = copy.deepcopy(self._random.choice(STRANGE))

    def _drop(self, parent: Any, key: Any) -> None:
        if isinstance(parent, dict):
            del parent[key]

    def _add(self, parent: Any, key: Any) -> None:
        if isinstance(parent[key], dict):
            name = self._random.choice(("extra", "", "é", "customData", "idTag"))
            parent[key][name] = copy.deepcopy(self._random.choice(STRANGE))

    def _nest(self, parent: Any, key: Any) -> None:
        for _ in range(self._random.choice((1, 3, 60))):
            parent[key] = self._random.choice(([parent[key]], {"a": parent[key]}))

    def _swap_type(self, parent: Any, key: Any) -> None:
        value = parent[key]
        if isinstance(value, str):
            parent[key] = int(value) if value.isdecimal() and len(value) < 100 else [value]
        elif isinstance(value, list):
            parent[key] = value[0] if value else {}
        else:
            parent[key] = json.dumps(value)

    def _raw(self, parent: Any, key: Any) -> None:
        parent[key] = MARK

    def _many(self, parent: Any, key: Any) -> None:
        if isinstance(parent[key], list):
            parent[key] = (parent[key] or [0]) * self._random.choice((2, 30, 1000))

    def dumps(self, value: Any) -> str:
        """As JSON, now and then with spaces, plain Unicode or a repeated key."""
        chance = self._random.random()
        text = json.dumps(value, ensure_ascii=chance < 0.9, indent=2 if chance < 0.05 else None)
        if MARK in text or json.dumps(MARK) in text:
            text = text.replace(json.dumps(MARK), self._random.choice(RAW))
        if chance > 0.97 and '": ' in text:
            at = text.index("{") + 1
            text = text[:at] + '"idTag": 1, "type": null, "connectorId": 1, ' + text[at:]
        return text if _is_text(text) else json.dumps(value).replace(json.dumps(MARK), "null")

    def envelope(self, message_id: str, action: str, payload: Any) -> str:
        """A frame of the wrong shape, or an answer to nothing."""
        choose = self._random.choice
        strange = choose(STRANGE)
        frame: Any = choose(
            (
                lambda: [
                    choose((0, 1, 5, 6, -2, 2.5, "2", None, True, 10**30, [2])),
                    message_id,
                    action,
                    payload,
                ],
                lambda: [2, choose((strange, 7, "", "x" * 37, "x" * 10_000)), action, payload],
                lambda: [2, message_id, choose((*ACTION_NAMES, strange)), payload],
                lambda: [2, message_id, action],
                lambda: [2, message_id],
                lambda: [2],
                lambda: [],
                lambda: [2, message_id, action, payload, strange],
                lambda: [2, message_id, action, strange],
                lambda: [2, message_id, payload, action],
                lambda: {"2": message_id, "action": action},
                lambda: strange,
                lambda: [3, message_id, payload],
                lambda: [3, message_id, strange],
                lambda: [3, message_id],
                lambda: [4, message_id, "InternalError", "", {}],
                lambda: [4, message_id, strange, strange, strange],
                lambda: [[2, message_id, action, payload]],
            )
        )()
        return self.dumps(frame)

    def text(self, text: str) -> str:
        """The frame with bytes changed, lost, doubled or cut."""
        octets = bytearray(text.encode("utf-8", "replace"))
        for _ in range(self._random.choice((1, 1, 2, 5))):
            at = self._random.randrange(len(octets) + 1)
            match self._random.randrange(6):
                case 0 if at < len(octets):
                    octets[at] = self._random.choice(b'{}[]",:\\0129eE+-. \x00\x7f\xc3')
                case 1:
                    del octets[at : at + self._random.choice((1, 1, 5, 40))]
                case 2:
                    octets[at:at] = self._random.choice(
                        (b",", b'"', b"]", b"[", b"}", b"\\", b"\\ud83d", b"\xef\xbb\xbf")
                    )
                case 3:
                    octets[at:at] = octets[at : at + self._random.choice((1, 10, 100))]
                case 4:
                    del octets[at:]
                case _ if at < len(octets):
                    octets[at] ^= 1 << self._random.randrange(7)
        return octets.decode("utf-8", "replace")

    def deep(self, message_id: str, action: str) -> str:
        """Nested far beyond reason."""
        depth = self._random.choice((100, 900, 1100, 20_000))
        opening, closing = self._random.choice((("[", "]"), ('{"a":', "}")))
        inner = opening * depth + "1" + closing * self._random.choice((depth, depth, 0))
        return f'[2,{json.dumps(message_id)},{json.dumps(action)},{{"a":{inner}}}]'

    def large(self, message_id: str, action: str) -> str:
        """Around and over the limit of a frame."""
        size = self._random.choice((10_000, 100_000, 1_000_000, 1_048_500, 2_000_000))
        return f'[2,{json.dumps(message_id)},{json.dumps(action)},{{"data":"{"x" * size}"}}]'


def _places(tree: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in the tree."""
    found: list[tuple[Any, Any]] = []
    left = [tree]
    while left:
        node = left.pop()
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        found += [(node, key) for key in keys]
        left += [node[key] for key in keys if isinstance(node[key], dict | list)]
    return found


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
