"""Plain text for people: tables of the status and lines of messages. Pure; called by `cli.py` and `demo.py`."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from agent.printable import printable

Json = dict[str, Any]


def status_text(status: Json) -> str:
    """The answer of GET /api/v1/status for a terminal."""
    station, link = status["station"], status["link"]
    serial = f" ({station['serial_number']})" if station.get("serial_number") else ""
    if link["is_connected"]:
        csms = f"connected to {link['url']} with {status['subprotocol']}"
    else:
        csms = f"not connected to {link['url']}"
    model = f"{station['vendor']} {station['model']}{serial}"
    lines = [
        f"Station  {station['identity']}, {model}, agent {station['agent_version']}",
        f"CSMS     {csms}, registration {status['registration'] or 'not answered yet'}",
        f"Outbox   {status['outbox_depth']} waiting",
    ]
    if status["outputs"]:
        switched = ", ".join(
            f"{name} {'on' if is_on else 'off'}" for name, is_on in status["outputs"].items()
        )
        lines.append(f"Outputs  {switched}")
    if not station["is_operative"]:
        lines.append("         the whole station is out of service")
    lines += [f"Fault    {_fault(fault)}" for fault in station["faults"]]
    lines += [f"Reserved {_reservation(each)}" for each in status["reservations"]]
    lines += [f"Limit    {_external(each)}" for each in status.get("external_limits", ())]
    lines += [f"Crashed  {name}: {count} times" for name, count in status["crashed_tasks"].items()]
    lines.append("")
    head = (
        "EVSE",
        "Session",
        "Pilot",
        "Contactor",
        "Offered",
        "Power",
        "Meter",
        "Transaction",
        "Energy",
        "Token",
    )
    lines += table([head, *(_evse_row(evse) for evse in status["evses"])])
    for evse in status["evses"]:
        lines += [f"EVSE {evse['evse_id']} fault: {_fault(fault)}" for fault in evse["faults"]]
        lines += [f"EVSE {evse['evse_id']} limit: {limit}" for limit in _limit(evse.get("limit"))]
        if evse.get("display") is not None:
            lines.append(f"EVSE {evse['evse_id']} display: {evse['display']['content']}")
    return _lines(lines)


def audit_line(row: Json) -> str:
    """When, who, what, at which EVSE, outcome and detail."""
    where = f" EVSE {row['evse_id']}" if row["evse_id"] else ""
    detail = f" ({row['detail']})" if row["detail"] else ""
    return printable(f"{row['at']} {row['source']}: {row['action']}{where}{detail}: {row['outcome']}")


def _evse_row(evse: Json) -> tuple[str, ...]:
    transaction, meter = evse["transaction"], evse["meter"]
    session = evse["session"] if evse["is_operative"] else f"{evse['session']} (out of service)"
    register = _kwh(meter and meter["energy_import_wh"])
    if meter and meter["quality"] != "ok":
        register += f" {meter['quality']}"
    return (
        str(evse["evse_id"]),
        session,
        evse["pilot"],
        evse["contactor"],
        f"{evse['offered_current_a']:.1f} A",
        "-" if not meter or meter["power_w"] is None else f"{meter['power_w'] / 1000:.2f} kW",
        register,
        "-" if transaction is None else transaction["reference"] or "no id yet",
        "-" if transaction is None else _kwh(transaction["energy_wh"]),
        (transaction["id_token"] if transaction else evse["id_token"]) or "-",
    )


def _limit(limit: Json | None) -> list[str]:
    """Nothing to say when it is the hardware's own."""
    if limit is None or limit["source"] == "hardware":
        return []
    profile = "" if limit["profile_id"] is None else f" {limit['profile_id']}"
    return [f"{limit['current_a']:.1f} A by {limit['source']}{profile}"]


def _external(limit: Json) -> str:
    first = limit["periods"][0]
    more = f" and {len(limit['periods']) - 1} more periods" if len(limit["periods"]) > 1 else ""
    length = "" if limit["duration_s"] is None else f" for {limit['duration_s']} s"
    where = f"EVSE {limit['evse_id']} " if limit.get("evse_id") else ""
    what = f"{where}{first['limit']:g} {limit['unit']}{more}"
    return f"{what} by {limit['origin']} since {limit['starts_at']}{length}"


def _lines(lines: Sequence[str]) -> str:
    """Words of the CSMS, or of a card, must not write over the terminal."""
    return "\n".join(printable(line) for line in lines)


def _kwh(energy_wh: float | None) -> str:
    return "-" if energy_wh is None else f"{energy_wh / 1000:.3f} kWh"


def _reservation(reservation: Json) -> str:
    evse_id, connector_id = reservation["evse_id"], reservation["connector_id"]
    place = "any EVSE" if evse_id is None else f"EVSE {evse_id}"
    place += "" if connector_id is None else f" connector {connector_id}"
    group = f" or group {reservation['group']}" if reservation["group"] else ""
    driver = f"{reservation['id_token']}{group}"
    return f"{place} for {driver} until {reservation['expires_at']} (id {reservation['reservation_id']})"


def _fault(fault: Json) -> str:
    effect = "charging is stopped" if fault["stops_charging"] else "charging goes on"
    detail = f" ({fault['detail']})" if fault["detail"] else ""
    return f"{fault['code']}{detail} since {fault['since']}, {effect}"


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as their widest cell, two blanks between them."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def message_line(entry: Json, width: int | None = None) -> str:
    """One OCPP message on one line; `width` cuts it."""
    arrow = "->" if entry["direction"] == "out" else "<-"
    at = entry["at"][11:23].rstrip("Z")
    content = json.dumps(entry["payload"], ensure_ascii=False, separators=(",", ":"))
    line = printable(f"{at:<12}  {arrow} {entry['type']:<9} {entry['action'] or '?':<24} {content}")
    return line if width is None or len(line) <= width else line[: max(1, width - 1)] + "…"


def session_table(sessions: Sequence[Json]) -> str:
    """The answer of GET /api/v1/sessions for a terminal; times are local."""
    if not sessions:
        return "No sessions."
    head = ("Began", "Lasted", "EVSE", "Token", "Energy", "Max", "Paused", "Cost", "Ended", "Id")
    lines = table([head, *(_session_row(each) for each in sessions)])
    total_wh = sum(each["energy_wh"] for each in sessions)
    return _lines([*lines, "", f"{count_text(len(sessions))}, {total_wh / 1000:.2f} kWh"])


def count_text(count: int) -> str:
    return "1 session" if count == 1 else f"{count} sessions"


def _session_row(session: Json) -> tuple[str, ...]:
    paused_s = session["suspended_ev_s"] + session["suspended_evse_s"]
    return (
        local_time(session["started_at"]),
        duration_text(session["duration_s"]),
        str(session["evse_id"]),
        session["id_token"] or "-",
        f"{session['energy_wh'] / 1000:.2f} kWh",
        _kw(session["max_power_w"]),
        duration_text(paused_s) if paused_s >= 1 else "-",
        session["cost"] or "-",
        session["stop_reason"] or "running",
        session["session_id"][:8],
    )


def session_text(session: Json) -> str:
    """The answer of GET /api/v1/sessions/{id} for a terminal."""
    stopped = session["stopped_at"]
    reference = session["reference"]
    rows = [
        ("Session", session["session_id"]),
        ("At the CSMS", "not told yet" if reference is None else reference),
        ("EVSE", f"{session['evse_id']}, connector {session['connector_id']}"),
        ("Token", session["id_token"] or "-"),
        ("Began", local_time(session["started_at"])),
        ("Ended", "still running" if stopped is None else f"{local_time(stopped)}, {session['stop_reason']}"),
        ("Lasted", duration_text(session["duration_s"])),
        ("Charging", duration_text(session["charging_s"])),
        (
            "Paused",
            f"{duration_text(session['suspended_ev_s'])} by the EV, "
            f"{duration_text(session['suspended_evse_s'])} by the station",
        ),
        ("Energy", _kwh(session["energy_wh"])),
        ("Meter", f"{_kwh(session['meter_start_wh'])} to {_kwh(session['meter_stop_wh'])}"),
        ("Max power", _kw(session["max_power_w"])),
        ("Cost", session["cost"] or "-"),
        (
            "Samples",
            f"{len(session['samples'])}, one every {session['pace_s']} s"
            if session["samples"]
            else "none kept",
        ),
    ]
    return _lines([f"{name:<12} {value}" for name, value in rows])


def local_time(at: str) -> str:
    """Of a time in UTC, to the second, in the zone of this machine."""
    return f"{datetime.fromisoformat(at).astimezone():%Y-%m-%d %H:%M:%S}"


def duration_text(seconds: float) -> str:
    """ "1 h 05 min", "5 min 03 s", "12 s"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def _kw(power_w: float | None) -> str:
    return "-" if power_w is None else f"{power_w / 1000:.1f} kW"
