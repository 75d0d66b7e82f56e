"""Who is logged in on the page: browser sessions in memory, known by a random secret that only the cookie has.

A session ends when it is idle or old, by logging out, when the password that opened it changes, and with the agent.
Pure: times are given by the caller. Called by `access.py`.
"""

import hashlib
import secrets
from dataclasses import dataclass, replace

from agent.web.passwords import AccessState
from agent.web.roles import Role

MOST = 200


@dataclass(frozen=True, slots=True)
class Login:
    name: str
    """Public: tells sessions apart in the audit."""
    role: Role
    password_digest: bytes
    started_time: float
    used_time: float


class Logins:
    """All of them. `idle_s` since the last request, `lifetime_s` since the login."""

    def __init__(self, idle_s: float, lifetime_s: float) -> None:
        self._idle_s = idle_s
        self._lifetime_s = lifetime_s
        self._sessions: dict[bytes, Login] = {}

    def start(self, role: Role, password_digest: bytes, time: float) -> str:
        """The secret for the cookie. Beyond MOST the one that is idle longest ends."""
        if len(self._sessions) >= MOST:
            del self._sessions[min(self._sessions, key=lambda key: self._sessions[key].used_time)]
        secret = secrets.token_urlsafe(32)
        self._sessions[_key(secret)] = Login(secrets.token_hex(3), role, password_digest, time, time)
        return secret

    def find(self, secret: str, state: AccessState, time: float) -> Login | None:
        """The session that is still good, now used; None: there is none, or it has ended."""
        key = _key(secret)
        session = self._sessions.get(key)
        if session is None:
            return None
        if not self._is_good(session, state, time):
            del self._sessions[key]
            return None
        used = self._sessions[key] = replace(session, used_time=time)
        return used

    def left_s(self, session: Login, time: float) -> float:
        """Until it ends whatever happens."""
        return max(0.0, session.started_time + self._lifetime_s - time)

    def end(self, secret: str) -> None:
        self._sessions.pop(_key(secret), None)

    def prune(self, state: AccessState, time: float) -> None:
        ended = [key for key, each in self._sessions.items() if not self._is_good(each, state, time)]
        for key in ended:
            del self._sessions[key]

    def _is_good(self, session: Login, state: AccessState, time: float) -> bool:
        password = state.passwords.get(session.role)
        return (
            password is not None
            and password.digest == session.password_digest
            and time - session.used_time < self._idle_s
            and time - session.started_time < self._lifetime_s
        )

    def __len__(self) -> int:
        return len(self._sessions)


def _key(secret: str) -> bytes:
    """Looking up by a hash takes a time that says nothing of the secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
