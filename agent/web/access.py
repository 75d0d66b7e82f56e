"""Who is asking, and logging in: unix socket, loopback without a password, cookie of a session, or bearer token.

Tells the role of a request and refuses what another site's page has a browser send. What a role may do stands at each
`Endpoint` and is held by `gate.py`. Called by `server.py`; words for the operator: docs/access.md.
"""

import asyncio
import pwd
import socket
import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from aiohttp import web
from msgspec import Meta

from agent.config_web import WebConfig, is_loopback
from agent.web.attempts import LoginAttempts
from agent.web.bodies import Nothing, Refusal, json_response, read_body
from agent.web.endpoints import Endpoint, caller_of, note
from agent.web.logins import Login, Logins
from agent.web.passwords import LONGEST, AccessFile
from agent.web.ports import NoteLogin
from agent.web.roles import Caller, Role

PATH = "/api/v1/session"
CUSTOM_HEADER = "X-Requested-With"
HASHING_MOST = 8
"""Logins that may wait for their turn; each takes 16 MB while it is its turn."""

RoleWord = Literal["viewer", "operator", "installer"]


class LoginBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    password: Annotated[str, Meta(min_length=1, max_length=LONGEST)]
    role: RoleWord | None = None
    """None: the highest that the password opens."""


class WhoAmI(msgspec.Struct):
    role: Literal["nobody", "viewer", "operator", "installer"]
    means: Literal["socket", "open", "session", "token", "none"]
    name: str
    has_password: bool
    """A password is set on this station."""
    expires_at: datetime | None
    """Of a session: when it ends at the latest."""


class Access:
    """Belongs to the event loop's thread; `now_time` is loop time."""

    def __init__(
        self, settings: WebConfig, file: AccessFile, now_time: Callable[[], float], note_login: NoteLogin
    ) -> None:
        self._settings = settings
        self._note_login = note_login
        self._file = file
        self._now_time = now_time
        self._logins = Logins(settings.session_idle_minutes * 60.0, settings.session_hours * 3600.0)
        self._attempts = LoginAttempts()
        self._turn = asyncio.Lock()
        self._waiting = 0

    @property
    def is_protected(self) -> bool:
        """A password is set: addresses beyond loopback may be opened."""
        return self._file.read().is_protected

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(
                method="GET",
                path=PATH,
                handler=self.show,
                role=Role.NOBODY,
                summary="Who am I",
                answer=WhoAmI,
            ),
            Endpoint(
                method="POST",
                path=PATH,
                handler=self.log_in,
                role=Role.NOBODY,
                summary="Log in",
                body=LoginBody,
                answer=WhoAmI,
                errors={
                    401: "the password is wrong",
                    409: "no password is set",
                    429: "too many wrong passwords; Retry-After says how long",
                },
            ),
            Endpoint(
                method="DELETE",
                path=PATH,
                handler=self.log_out,
                role=Role.NOBODY,
                summary="Log out",
                answer=WhoAmI,
            ),
        ]

    def who(self, request: web.Request, endpoint: Endpoint) -> Caller:
        """Raises Refusal(401) for a bad token, Refusal(403) for what a page of another site sent."""
        address = address_of(request)
        if address is None:
            return Caller(Role.INSTALLER, "socket", _user_of(request))
        _refuse_foreign_origin(request)
        state = self._file.read()
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            token = state.find_token(text.strip(), datetime.now(UTC))
            if token is None:
                raise Refusal(401, "this token is unknown, expired or revoked", headers=CHALLENGE)
            return Caller(token.role, "token", token.name, address)
        is_plain_look = endpoint.role is Role.NOBODY and endpoint.method == "GET"  # a link to the page
        if not is_plain_look and request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site"):
            raise Refusal(403, "pages of other sites may not use this API", "Sec-Fetch-Site")
        login = self._login(request)
        if login is not None:
            if endpoint.method != "GET":
                _refuse_forged(request)
            return Caller(login.role, "session", login.name, address)
        if is_loopback(address) and not (state.is_protected and self._settings.password_on_loopback):
            if not is_loopback(_host_name(request.host)):
                raise Refusal(403, "the Host header must name a loopback address", "Host")
            role = Role[(self._settings.loopback_role.replace("none", "nobody")).upper()]
            return Caller(role, "open" if role else "none", "", address)
        return Caller(Role.NOBODY, "none", "", address)

    def prune(self) -> None:
        self._logins.prune(self._file.read(), self._now_time())

    async def show(self, request: web.Request) -> web.Response:
        caller = caller_of(request)
        return self._shown(caller, self._login(request) if caller.means == "session" else None)

    async def log_in(self, request: web.Request) -> web.Response:
        body = await read_body(request, LoginBody)
        state = self._file.read()
        if not state.is_protected:
            raise Refusal(409, "no password is set on this station; `evse-agent passwd` sets one")
        address = address_of(request) or ""
        wanted = None if body.role is None else Role[body.role.upper()]
        self._hold_up(address)
        if self._waiting >= HASHING_MOST:
            raise Refusal(429, "too many logins at once", headers={"Retry-After": "5"})
        self._waiting += 1
        try:
            async with self._turn:
                self._hold_up(address)  # others of this address may have failed meanwhile
                role = await asyncio.to_thread(state.role_of, body.password, wanted)
                if role is None:
                    self._attempts.failed(address, self._now_time())
        finally:
            self._waiting -= 1
        if role is None:
            if wanted is not Role.VIEWER:
                await self._note_login(body.role or "anyone", address, is_accepted=False)
            note(request, f"as {body.role or 'anyone'}", outcome="wrong password")
            raise Refusal(401, "the password is wrong", "password", headers=CHALLENGE)
        self._attempts.succeeded(address, knows_all=role is max(state.passwords))
        former = request.cookies.get(_cookie_name(request))
        if former:
            self._logins.end(former)
        secret = self._logins.start(role, state.passwords[role].digest, self._now_time())
        login = self._logins.find(secret, state, self._now_time())
        assert login is not None
        note(request, f"as {role.word}, session {login.name}", is_kept=role > Role.VIEWER)
        if role > Role.VIEWER:
            await self._note_login(role.word, address, is_accepted=True)
        response = self._shown(Caller(role, "session", login.name, address), login)
        response.set_cookie(
            _cookie_name(request),
            secret,
            path="/",
            httponly=True,
            samesite="Strict",
            secure=request.secure,
            max_age=self._settings.session_hours * 3600,
        )
        return response

    async def log_out(self, request: web.Request) -> web.Response:
        """Also without a session: then there is nothing to end."""
        await read_body(request, Nothing)
        name = _cookie_name(request)
        caller = caller_of(request)
        if caller.means == "session":
            note(request, f"session {caller.name}")
            self._logins.end(request.cookies[name])
        response = self._shown(Caller(Role.NOBODY, "none", "", caller.address), None)
        response.del_cookie(name, path="/", httponly=True, samesite="Strict", secure=request.secure)
        return response

    def _hold_up(self, address: str) -> None:
        wait_s = self._attempts.wait_s(address, self._now_time())
        if wait_s > 0:
            seconds = int(wait_s) + 1
            raise Refusal(
                429,
                f"too many wrong passwords; try again in {seconds} s",
                headers={"Retry-After": str(seconds)},
            )

    def _login(self, request: web.Request) -> Login | None:
        secret = request.cookies.get(_cookie_name(request))
        return self._logins.find(secret, self._file.read(), self._now_time()) if secret else None

    def _shown(self, caller: Caller, login: Login | None) -> web.Response:
        left_s = None if login is None else self._logins.left_s(login, self._now_time())
        answer = WhoAmI(
            caller.role.word,  # type: ignore[arg-type]
            caller.means,
            caller.name,
            self.is_protected,
            None if left_s is None else datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=left_s),
        )
        return json_response(answer)


CHALLENGE = {"WWW-Authenticate": "Bearer"}


def address_of(request: web.Request) -> str | None:
    """Of the other end of TCP; None: it is the unix socket."""
    transport = request.transport
    peer = None if transport is None else transport.get_extra_info("peername")
    if isinstance(peer, tuple):
        return str(peer[0])
    return None if transport is not None else ""


def _refuse_foreign_origin(request: web.Request) -> None:
    """Every browser sends Origin with what another site's page posts."""
    origin = request.headers.get("Origin")
    try:
        is_own = origin is None or urlsplit(origin).netloc == request.host
    except ValueError:  # no address at all
        is_own = False
    if not is_own:
        raise Refusal(403, "pages of other sites may not use this API", "Origin")


def _host_name(host: str) -> str | None:
    """Without the port; None: it is no address."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _refuse_forged(request: web.Request) -> None:
    """With the cookie alone nothing is changed: a form of another site cannot set a header."""
    if request.headers.get("Sec-Fetch-Site") != "same-origin" and CUSTOM_HEADER not in request.headers:
        raise Refusal(403, f"a request with a session needs the header {CUSTOM_HEADER}", CUSTOM_HEADER)


def _cookie_name(request: web.Request) -> str:
    """Cookies do not know ports: agents on one host must not log each other out."""
    transport = request.transport
    own = None if transport is None else transport.get_extra_info("sockname")
    port = own[1] if isinstance(own, tuple) else 0
    return f"{'__Host-' if request.secure else ''}evse_agent_{port}"


def _user_of(request: web.Request) -> str:
    """The Unix user at the other end of the socket."""
    transport = request.transport
    sock: Any = None if transport is None else transport.get_extra_info("socket")
    try:
        peer = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        uid = struct.unpack("3i", peer)[1]
    except (OSError, AttributeError):
        return ""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
