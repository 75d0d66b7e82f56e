"""Plain text for people: tables of the status and lines of messages. Pure; called by `cli.py` and `demo.py`."""

import json
from collections.abc import Sequence
from typing import Any

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
            lines.append(f"EVSE {evse['evse_id']} display: {_one_line(evse['display']['content'])}")
    return "\n".join(lines)


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
    return f"{first['limit']:g} {limit['unit']}{more} by {limit['origin']} since {limit['starts_at']}{length}"


def _one_line(content: str) -> str:
    """A message of the CSMS must not write over the terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in content)


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
    line = f"{at:<12}  {arrow} {entry['type']:<9} {entry['action'] or '?':<24} {content}"
    return line if width is None or len(line) <= width else line[: max(1, width - 1)] + "…"
