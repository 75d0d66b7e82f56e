"""Legal frames of every action that a CSMS may send, drawn from the official schemas that the package `ocpp` ships.

Types, lengths and enumerations are the schemas'; the values come from small pools, so that what is drawn often means
something to the station: its connectors, running transactions, real keys, real certificates. Addresses are on loopback
with nobody there. Used by `broken` (which damages what is drawn here) and `run`.
"""

import random
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from tests.fuzz.dialects import START, Dialect, Payload

WORDS = (
    "",
    "a",
    "TAG1",
    "tag1",
    "Example",
    "com.example",
    "com.example.site",
    "Release",
    "é😀",
    "x" * 20,
    "0",
    "true",
)
INTEGERS = (
    0,
    1,
    1,
    1,
    2,
    2,
    3,
    5,
    10,
    60,
    300,
    900,
    86_400,
    -1,
    255,
    65_536,
    2**31 - 1,
    -(2**31),
    2**53,
    10**12,
)
ANYTHING: tuple[Any, ...] = (
    None,
    True,
    7,
    -0.5,
    "",
    "é😀",
    [],
    {},
    {"on": True},
    [1, {"a": None}],
    {"x": "y" * 500},
    "[" * 200,
    1e300,
)
"""Where the schema says nothing."""
OPTIONAL = 0.5
CUSTOM = 0.03
"""`customData` may stand in every object of 2.0.1."""


class Legal:
    """Draws frames; `keys` are the settings of the station as its version names them, `texts` more values for long
    strings (PEM)."""

    def __init__(
        self, dialect: Dialect, source: random.Random, keys: Sequence[Any], texts: Sequence[str]
    ) -> None:
        self.keys = keys
        self.met: dict[str, deque[Any]] = defaultdict(lambda: deque(maxlen=6))
        """Property name -> values that the station used itself; they are drawn as well."""
        self._dialect = dialect
        self._random = source
        self._texts = texts
        self._definitions: Mapping[str, Any] = {}

    def payload(self, action: str) -> Payload:
        drawn = self._draw_all(self._dialect.request(action), action)
        self._dialect.mend(action, drawn, self._random, self.keys)
        return drawn

    def message_id(self) -> str:
        chance = self._random.random()
        if chance < 0.3:
            return str(self._random.randrange(1000))
        if chance < 0.9:
            return f"{self._random.getrandbits(128):032x}"
        return self._random.choice(("1", "é", "a b", "x" * 36, '"', "\\", "null", "\n", "😀" * 36, " "))

    def answer(self, action: str) -> Payload:
        """A legal answer to a call of the station."""
        return self._draw_all(self._dialect.response(action), f"{action}Response")

    def _draw_all(self, schema: Mapping[str, Any], name: str) -> Payload:
        self._definitions = schema.get("definitions", {})
        drawn = self._draw(schema, name)
        assert isinstance(drawn, dict)
        return drawn

    def _draw(self, schema: Mapping[str, Any], name: str) -> Any:
        choose = self._random.choice
        if "$ref" in schema:
            schema = self._definitions[schema["$ref"].rpartition("/")[2]]
        if "enum" in schema:
            return choose(schema["enum"])
        match schema.get("type"):
            case "object":
                return self._draw_object(schema)
            case "array":
                count = schema.get("minItems", 0) + choose((0, 1, 1, 2, 5))
                return [
                    self._draw(schema["items"], name)
                    for _ in range(min(count, schema.get("maxItems", count)))
                ]
            case "integer":
                return self._of_pool(name, INTEGERS)
            case "number":
                return self._of_pool(name, (0, 0.5, 6, 1e9))
            case "boolean":
                return choose((True, False))
            case None:
                return choose(ANYTHING)
        return self._draw_text(schema, name)

    def _draw_object(self, schema: Mapping[str, Any]) -> Payload:
        required = schema.get("required", ())
        return {
            key: self._draw(each, key)
            for key, each in schema.get("properties", {}).items()
            if key in required or self._random.random() < (CUSTOM if key == "customData" else OPTIONAL)
        }

    def _of_pool(self, name: str, otherwise: Sequence[Any]) -> Any:
        if self.met[name] and self._random.random() < 0.6:
            return self._random.choice(self.met[name])
        return self._random.choice(self._dialect.pools.get(name, otherwise))

    def _draw_text(self, schema: Mapping[str, Any], name: str) -> str:
        if schema.get("format") == "date-time":
            return self._moment()
        longest = schema.get("maxLength", 100_000)
        if name == "key" and self.keys:
            return str(self._random.choice(self.keys))[:longest]
        is_long = longest > 500 and self._texts and name not in ("data", *self._dialect.pools)
        return str(self._random.choice(self._texts) if is_long else self._of_pool(name, WORDS))[:longest]

    def _moment(self) -> str:
        moment = START + timedelta(
            seconds=self._random.choice((-86_400, -60, 0, 1, 30, 600, 3600, 86_400, 10**8))
        )
        text = moment.isoformat()
        style = self._random.randrange(6)
        if style == 0:
            return text.replace("+00:00", "Z")
        if style == 1:
            return text.replace("+00:00", f".{self._random.randrange(1000):03}Z")
        if style == 2:
            return text.replace("+00:00", ".123456+02:00")
        if style == 3:
            return text.replace("+00:00", "")
        return text
