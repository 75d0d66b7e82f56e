"""Passwords and tokens of the page and the local API: `access.json` in the state directory, mode 0600.

Passwords are kept as scrypt (RFC 7914), tokens (256 random bits) as SHA-256; neither can be read back. A change is one
atomic replace under a lock, so the command line may change the file while the agent runs; the agent reads it again when
it has changed. A damaged file lets nobody in. Called by `access.py` and `agent/cli_access.py`; standard library only.
"""

import base64
import fcntl
import hashlib
import hmac
import json
import logging
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from agent.web.roles import Role

log = logging.getLogger(__name__)

FILE_NAME = "access.json"
SHORTEST, LONGEST = 8, 256
NAME_LONGEST = 40
TOKEN_PREFIX = "evse_"
TOKENS_MOST = 100
PEOPLE = (Role.VIEWER, Role.OPERATOR, Role.INSTALLER)


@dataclass(frozen=True, slots=True)
class Cost:
    """Of scrypt: 16 MB and some 0.3 s on a Raspberry Pi; as hard as one round over 128 MB."""

    n: int = 2**14
    r: int = 8
    p: int = 5


@dataclass(frozen=True, slots=True)
class Password:
    salt: bytes
    digest: bytes
    cost: Cost
    set_at: datetime

    def is_right(self, text: str) -> bool:
        """Takes the time of one scrypt; not for the event loop."""
        return hmac.compare_digest(_scrypt(text, self.salt, self.cost), self.digest)


@dataclass(frozen=True, slots=True)
class Token:
    name: str
    role: Role
    digest: bytes
    created_at: datetime
    expires_at: datetime | None = None

    def is_valid(self, now: datetime) -> bool:
        return self.expires_at is None or now < self.expires_at


@dataclass(frozen=True, slots=True)
class AccessState:
    """What the file says."""

    passwords: Mapping[Role, Password] = field(default_factory=dict)
    tokens: tuple[Token, ...] = ()
    problem: str = ""
    """Why it cannot be read; then a password counts as set, and none is right."""
    is_unread: bool = False
    """The problem is the disk's, or of rights, and may pass."""

    @property
    def is_protected(self) -> bool:
        return bool(self.passwords or self.problem)

    def role_of(self, password: str, wanted: Role | None = None) -> Role | None:
        """The highest role that `password` opens, or `wanted`; None: it is wrong. Not for the event loop."""
        right = [
            role
            for role, kept in sorted(self.passwords.items())
            if wanted in (None, role) and kept.is_right(password)
        ]
        return right[-1] if right else None

    def find_token(self, text: str, now: datetime) -> Token | None:
        digest = _token_digest(text)
        found = [each for each in self.tokens if hmac.compare_digest(each.digest, digest)]
        return found[0] if found and found[0].is_valid(now) else None


class AccessError(Exception):
    """What was asked for cannot be; the text says why."""


class AccessFile:
    """`read()` is cheap: it looks whether the file changed. Changes raise AccessError, and OSError of the disk."""

    def __init__(
        self,
        state_dir: Path,
        *,
        cost: Cost = Cost(),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._path = state_dir / FILE_NAME
        self._cost = cost
        self._now = now
        self._seen: tuple[int, ...] | None = ()
        self._state = AccessState()

    def read(self) -> AccessState:
        """Never raises: what cannot be read is a `problem`."""
        try:
            seen = _mark(self._path)
        except OSError as error:
            return AccessState(problem=f"{self._path}: {error.strerror}")
        if seen == self._seen:
            return self._state
        former = self._state.problem
        self._state = self._load() if seen is not None else AccessState()
        self._seen = () if self._state.is_unread else seen
        if self._state.problem and self._state.problem != former:
            log.error("nobody can log in: %s; remove it or set a password again", self._state.problem)
        return self._state

    def set_password(self, role: Role, text: str) -> None:
        """Sessions that were opened with the former one end."""
        problem = password_problem(text)
        if problem:
            raise AccessError(problem)
        salt = secrets.token_bytes(16)
        kept = Password(salt, _scrypt(text, salt, self._cost), self._cost, self._now())
        with self._changing() as state:
            if any(
                other is not role and each.is_right(text) for other, each in _sound(state).passwords.items()
            ):
                raise AccessError("another role has this password")
            self._write(replace(_sound(state), passwords={**_sound(state).passwords, role: kept}))

    def remove_password(self, role: Role) -> bool:
        """False: there was none."""
        with self._changing() as state:
            passwords = {each: kept for each, kept in _readable(state).passwords.items() if each is not role}
            if len(passwords) == len(state.passwords):
                return False
            self._write(replace(state, passwords=passwords))
        return True

    def create_token(self, name: str, role: Role, days: int | None = None) -> str:
        """The token; it is shown once and cannot be read back."""
        if not name or len(name) > NAME_LONGEST or not all(c.isalnum() or c in "-_." for c in name):
            raise AccessError(f"a name has 1 to {NAME_LONGEST} letters, digits, dots, - or _")
        text = TOKEN_PREFIX + secrets.token_urlsafe(32)
        with self._changing() as state:
            now = self._now()
            kept = tuple(each for each in _readable(state).tokens if each.is_valid(now))
            if any(each.name == name for each in kept):
                raise AccessError(f"there is a token {name}; revoke it first")
            if len(kept) >= TOKENS_MOST:
                raise AccessError(f"there are {TOKENS_MOST} tokens; revoke one first")
            expires_at = None if days is None else now + timedelta(days=days)
            self._write(
                replace(state, tokens=(*kept, Token(name, role, _token_digest(text), now, expires_at)))
            )
        return text

    def revoke_token(self, name: str) -> bool:
        """False: there was none."""
        with self._changing() as state:
            tokens = tuple(each for each in _readable(state).tokens if each.name != name)
            if len(tokens) == len(state.tokens):
                return False
            self._write(replace(state, tokens=tokens))
        return True

    @contextmanager
    def _changing(self) -> Iterator[AccessState]:
        """One change at a time, of all processes."""
        directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(directory, fcntl.LOCK_EX)
            yield self._load() if self._path.exists() else AccessState()
        finally:
            os.close(directory)

    def _load(self) -> AccessState:
        try:
            content = json.loads(self._path.read_bytes())
            return AccessState(
                {
                    _role(name): Password(
                        _bytes(row["salt"]),
                        _bytes(row["scrypt"]),
                        Cost(int(row["n"]), int(row["r"]), int(row["p"])),
                        datetime.fromisoformat(row["set_at"]),
                    )
                    for name, row in content["passwords"].items()
                },
                tuple(
                    Token(
                        str(row["name"]),
                        _role(row["role"]),
                        _bytes(row["sha256"]),
                        datetime.fromisoformat(row["created_at"]),
                        datetime.fromisoformat(row["expires_at"]) if row["expires_at"] else None,
                    )
                    for row in content["tokens"]
                ),
            )
        except OSError as error:
            return AccessState(problem=f"{self._path}: {error.strerror}", is_unread=True)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return AccessState(problem=f"{self._path} is damaged")

    def _write(self, state: AccessState) -> None:
        text = json.dumps(_content(state), indent=2) + "\n"
        part = self._path.with_name(f"{FILE_NAME}.part")
        part.unlink(missing_ok=True)
        out = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(out, "w", encoding="utf-8") as file:
                file.write(text)
                owner = os.stat(self._path.parent)
                if os.geteuid() == 0 and owner.st_uid != 0:  # root set it for the agent's user
                    os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, self._path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def password_problem(text: str) -> str:
    """Why it will not do; empty: it will."""
    if len(text) < SHORTEST:
        return f"a password has at least {SHORTEST} characters"
    if len(text) > LONGEST:
        return f"a password has at most {LONGEST} characters"
    if len(set(text)) < 3:
        return "this password is too easy to guess"
    return ""


def _sound(state: AccessState) -> AccessState:
    """A damaged file is replaced when a password is set: its tokens are lost, and nobody gets in by it."""
    return AccessState() if state.problem else state


def _readable(state: AccessState) -> AccessState:
    if state.problem:
        raise AccessError(f"{state.problem}; set a password again to replace it")
    return state


def _content(state: AccessState) -> dict[str, Any]:
    return {
        "passwords": {
            role.word: {
                "salt": _text(kept.salt),
                "scrypt": _text(kept.digest),
                "n": kept.cost.n,
                "r": kept.cost.r,
                "p": kept.cost.p,
                "set_at": kept.set_at.isoformat(),
            }
            for role, kept in sorted(state.passwords.items())
        },
        "tokens": [
            {
                "name": each.name,
                "role": each.role.word,
                "sha256": _text(each.digest),
                "created_at": each.created_at.isoformat(),
                "expires_at": each.expires_at.isoformat() if each.expires_at else None,
            }
            for each in state.tokens
        ],
    }


def _mark(path: Path) -> tuple[int, ...] | None:
    """Changes with the file, its owner and its rights; None: there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_ctime_ns, found.st_size


def _scrypt(text: str, salt: bytes, cost: Cost) -> bytes:
    return hashlib.scrypt(
        text.encode("utf-8", "surrogatepass"), salt=salt, n=cost.n, r=cost.r, p=cost.p, maxmem=2**26, dklen=32
    )


def _token_digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _role(word: str) -> Role:
    role = Role[word.upper()]
    if role not in PEOPLE:
        raise ValueError(word)
    return role


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _bytes(text: str) -> bytes:
    content = base64.b64decode(text, validate=True)
    if len(content) < 16:
        raise ValueError("too short")
    return content
