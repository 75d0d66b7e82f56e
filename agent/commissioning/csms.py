"""The room of the CSMS: name, port, TLS, WebSocket and password, in this order; the first that fails is the answer.

No OCPP message is sent. While an agent runs, the connection is its own: many CSMSs drop the first one when a second
comes with the same identity. Then only its word counts, and without one what needs no identity is tried.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from agent.commissioning.agent_word import AgentWord
from agent.commissioning.findings import Finding, failure, ok, warning
from agent.errors import ConnectFailed
from agent.ocpp.link import Link, LinkConfig, connection_url

SUBJECT = "CSMS"
TCP_S = 10.0
ATTEMPT_S = 45.0

Resolve = Callable[[str, int], Awaitable[list[str]]]


@dataclass(frozen=True, slots=True)
class Attempt:
    """Why a connection did not come to be, as `ConnectFailed` and the local API say it."""

    kind: str
    status: int
    reason: str


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name. Raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[4][0]) for address in found))


async def check_csms(
    link: LinkConfig,
    word: AgentWord | None,
    *,
    is_running: bool,
    is_password_stored: bool = False,
    resolve: Resolve = resolve,
) -> list[Finding]:
    """`is_password_stored`: the CSMS has set another password than that of the file."""
    if word is not None and word.status["link"]["is_connected"]:
        return [_connected(word)]
    try:
        # The agent may be on its way to another address, which the CSMS has set.
        url = connection_url(link) if word is None else word.status["link"]["url"] or connection_url(link)
    except ConnectFailed as error:
        return [_advise(Attempt(error.kind, 0, str(error)), link, is_password_stored)]
    found = await _reach(url, resolve)
    if any(each.advice for each in found):
        return found
    if word is not None:
        return [*found, _told(word, link, is_password_stored)]
    if is_running:
        return found
    result = await attempt(link)
    if isinstance(result, Attempt):
        return [*found, _advise(result, link, is_password_stored)]
    how = "over TLS" if url.startswith("wss:") else "without TLS"
    return [*found, ok(SUBJECT, f"it takes this station at {url}, {how}, with {result}; nothing was sent")]


def _connected(word: AgentWord) -> Finding:
    url, registration = word.status["link"]["url"], word.status["registration"]
    said = f"the agent is connected to {url} with {word.status['subprotocol']}"
    if registration == "Accepted":
        return ok(SUBJECT, f"{said}, registration Accepted")
    if registration is None:
        advice = "wait a minute; if it stays so, ask the operator of the CSMS what became of BootNotification"
        return warning(SUBJECT, f"{said}, and BootNotification is not answered", advice)
    advice = f"accept {word.status['station']['identity']} in the CSMS: it knows the station and waits"
    say = warning if registration == "Pending" else failure
    return say(SUBJECT, f"{said}, registration {registration}", advice)


def _told(word: AgentWord, link: LinkConfig, is_password_stored: bool) -> Finding:
    """The agent runs and is not connected."""
    last = word.report["csms"]["failure"]
    if last is None:
        advice = "wait a minute, or end a `link disconnect`: evse-agent link connect"
        return warning(SUBJECT, "the agent is not connected, and nothing has failed yet", advice)
    return _advise(Attempt(last["kind"], last["status"], last["reason"]), link, is_password_stored)


async def _reach(url: str, resolve: Resolve) -> list[Finding]:
    """Name and port."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "wss" else 80)
    try:
        addresses = await resolve(host, port)
    except OSError as error:
        advice = "compare csms.url letter by letter; is there a network (ping 1.1.1.1), and a name server (resolvectl)?"
        return [failure(SUBJECT, f"the name {host} is not known: {error.strerror or error}", advice)]
    try:
        async with asyncio.timeout(TCP_S):
            _reader, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        advice = f"a firewall drops it, or there is no way out: check router, SIM card, VPN, and port {port}"
        return [failure(SUBJECT, f"no answer from {host} port {port} within {TCP_S:g} s", advice)]
    except ConnectionRefusedError:
        advice = (
            "is the port right? ws:// is 80 and wss:// 443 unless csms.url names another; is the CSMS up?"
        )
        return [failure(SUBJECT, f"{host} refuses connections to port {port}", advice)]
    except OSError as error:
        advice = "check the network: cable, Wi-Fi, SIM card, default route (ip route)"
        return [failure(SUBJECT, f"{host} port {port}: {error.strerror or error}", advice)]
    writer.close()
    await asyncio.gather(writer.wait_closed(), return_exceptions=True)
    return [ok(SUBJECT, f"{host} ({', '.join(addresses[:2])}) answers on port {port}")]


async def attempt(link: LinkConfig) -> str | Attempt:
    """One connection, closed at once: the subprotocol that was agreed on, or why there is none."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[str | Attempt] = loop.create_future()

    def settle(value: str | Attempt) -> None:
        if not result.done():
            result.set_result(value)

    dialling = Link(
        link,
        on_open=settle,
        on_text=lambda _text: None,
        on_closed=lambda _reason: None,
        on_failed=lambda error: settle(Attempt(error.kind, error.status, str(error))),
    )
    task = asyncio.create_task(dialling.run())
    try:
        async with asyncio.timeout(ATTEMPT_S):
            return await result
    except TimeoutError:
        return Attempt("UNREACHABLE", 0, f"no connection within {ATTEMPT_S:g} s")
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


# --- what to do -------------------------------------------------------------------------------------------


def _advise(failed: Attempt, link: LinkConfig, is_password_stored: bool) -> Finding:
    found, advice = _words(failed, link, is_password_stored)
    return failure(SUBJECT, found, advice)


def _words(failed: Attempt, link: LinkConfig, is_password_stored: bool) -> tuple[str, str]:
    match failed.kind:
        case "CREDENTIALS":
            return f"it does not take this station: {failed.reason}", _credentials(link, is_password_stored)
        case "TLS_CERTIFICATE":
            return f"its certificate is not trusted here: {failed.reason}", _certificate(failed.reason, link)
        case "TLS_OWN_CERTIFICATE":
            advice = "ask its operator: is this certificate known there, and its authority trusted?"
            return f"it does not take our certificate: {failed.reason}", advice
        case "TLS_VERSION" | "TLS_CIPHER" | "TLS":
            advice = "is there TLS on this port (wss:// on a ws:// port)? The CSMS must offer TLS 1.2 or 1.3, AES-GCM"
            return f"TLS fails: {failed.reason}", advice
        case "CONFIGURATION":
            return (
                failed.reason,
                "correct [csms] in the configuration; docs/security.md says what each profile needs",
            )
    return _answered(failed, link)


def _answered(failed: Attempt, link: LinkConfig) -> tuple[str, str]:
    """By the HTTP status of the upgrade."""
    match failed.status:
        case 101:
            advice = "it speaks no OCPP 1.6 here: ask the operator of the CSMS for its OCPP 1.6-J address"
            return f"it agrees to no subprotocol of ours ({', '.join(link.subprotocols)})", advice
        case 404 | 410:
            advice = f"is {link.identity} registered there, letter by letter? Is the path of csms.url right?"
            return f"it knows nothing under this address: {failed.reason}", advice
        case status if 300 <= status < 400:
            return (
                f"it sends us elsewhere: {failed.reason}",
                "write the address that it redirects to (wss://?) into csms.url",
            )
        case status if 400 <= status < 500:
            advice = f"is csms.url the address for charging stations, not for browsers? Is {link.identity} known there?"
            return f"it refuses the connection: {failed.reason}", advice
        case status if status >= 500:
            return (
                f"it has trouble of its own: {failed.reason}",
                "try again later, or tell the operator of the CSMS",
            )
    advice = "is csms.url the address for charging stations? Something else may listen there, or a proxy in between"
    return failed.reason, advice


def _credentials(link: LinkConfig, is_password_stored: bool) -> str:
    if link.security_profile not in (1, 2):
        return f"set csms.security_profile and csms.password: it wants more than profile {link.security_profile} gives"
    where = "csms.password"
    if is_password_stored:
        where = "the password that the CSMS set last (in the database; it beats the file)"
    return (
        f"compare identity {link.identity} and {where} with what the CSMS shows for this station;"
        " if it shows hex digits, they may have to stand in csms.password_hex"
    )


def _certificate(reason: str, link: LinkConfig) -> str:
    text = reason.lower()
    if "not yet valid" in text:
        return "set the clock of this machine: sudo timedatectl set-ntp true"
    if "expired" in text:
        return (
            "look at the clock above; if it is right, the operator of the CSMS has to renew the certificate"
        )
    if "hostname" in text or "ip address mismatch" in text:
        return "write the name that stands in its certificate into csms.url, not another one or an IP address"
    anchors = link.ca_file or ("the installed roots" if link.roots else "the system's authorities")
    return (
        f"put the root certificate of the CSMS into csms.ca_file: its certificate is not signed by {anchors}"
    )
