"""Every metric with its name, its words and its labels, made of one `Moment`. The only importer of prometheus_client.

Names: prefix evse_, SI units at the end (joules, not Wh), _total for what only grows. What is not known has no sample.
Labels have few values: EVSEs, states, fault codes, phases, OCPP actions. Runs in a thread of its own; touches nothing
of the station. Every metric is in docs/metrics.md.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)

from agent.charging.present import present_reading, session_energy_wh
from agent.charging.snapshot import EvseSnapshot, SessionState
from agent.durations import LIMITS_S, Durations
from agent.metrics.moment import Disk, Moment, read_disk
from hal.ports import ContactorState, FaultCode

REGISTRATIONS = ("Accepted", "Pending", "Rejected")
FAILURES = ("error", "unanswered")
JOULES_PER_WH = 3600.0
METER_FAULTS = frozenset({FaultCode.METER_COMM, FaultCode.METER_IMPLAUSIBLE})
_OF_ONE_TIME = re.compile(r" \S*\d\S*$")
Labels = tuple[str, ...]
Samples = Iterable[tuple[Labels, float | None]]


class Renderer:
    """Renders moments; belongs to one thread at a time."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(namespace="evse", registry=self._registry)
        self._registry.register(self)
        self._families: list[Metric] = []

    def render(self, moment: Moment) -> bytes:
        self._families = list(families(moment, read_disk(moment.sources.store.path)))
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        """For the registry."""
        return self._families


def families(moment: Moment, disk: Disk) -> Iterator[Metric]:
    """All but those of the process."""
    yield from _station(moment)
    evses = [(str(evse_id), evse) for evse_id, evse in sorted(moment.snapshot.evses.items())]
    yield from _charging(evses, moment)
    yield from _electricity(evses, moment)
    yield from _faults(moment, evses)
    yield from _csms(moment)
    yield from _calls(moment)
    yield from _store(moment, disk)
    yield from _board(moment)
    yield from _agent(moment)


def _gauge(name: str, words: str, labels: Labels, samples: Samples) -> Metric:
    family = GaugeMetricFamily(name, words, labels=labels)
    for values, value in samples:
        if value is not None:
            family.add_metric(values, float(value))
    return family


def _counter(name: str, words: str, labels: Labels, samples: Samples) -> Metric:
    """`name` without _total, which it gets."""
    family = CounterMetricFamily(name, words, labels=labels)
    for values, value in samples:
        if value is not None:
            family.add_metric(values, float(value))
    return family


def _histogram(name: str, words: str, labels: Labels, samples: Iterable[tuple[Labels, Durations]]) -> Metric:
    family = HistogramMetricFamily(name, words, labels=labels)
    for values, durations in samples:
        buckets: list[tuple[str, float]] = []
        count = 0
        for limit, more in zip((*map(repr, LIMITS_S), "+Inf"), durations.counts, strict=True):
            count += more
            buckets.append((limit, count))
        family.add_metric(values, buckets, durations.total_s)
    return family


def _one_hot(present: object, possible: Iterable[str], before: Labels = ()) -> Samples:
    return [((*before, each), float(each == present)) for each in possible]


def _station(moment: Moment) -> Iterator[Metric]:
    about = moment.about
    yield _gauge("evse_info", "What this station is; always 1.", tuple(about), [(tuple(about.values()), 1.0)])
    yield _gauge(
        "evse_station_operative",
        "The station is in service as a whole.",
        (),
        [((), moment.snapshot.is_operative)],
    )


def _charging(evses: list[tuple[str, EvseSnapshot]], moment: Moment) -> Iterator[Metric]:
    label = ("evse",)
    yield _gauge(
        "evse_state",
        "1 for the state of the session that the EVSE is in.",
        ("evse", "state"),
        [sample for key, evse in evses for sample in _one_hot(evse.session, SessionState, (key,))],
    )
    yield _gauge("evse_operative", "In service.", label, [((key,), evse.is_operative) for key, evse in evses])
    yield _gauge("evse_plugged", "A cable is in.", label, [((key,), evse.is_plugged) for key, evse in evses])
    yield _gauge(
        "evse_transaction",
        "A transaction runs.",
        label,
        [((key,), evse.transaction is not None) for key, evse in evses],
    )
    yield _gauge(
        "evse_contactor_closed",
        "By its feedback; no sample while nobody knows.",
        label,
        [
            ((key,), evse.hardware.contactor is ContactorState.CLOSED)
            for key, evse in evses
            if evse.hardware.contactor is not ContactorState.UNKNOWN
        ],
    )
    yield _gauge(
        "evse_session_duration_seconds",
        "Since the running transaction started.",
        label,
        [
            ((key,), (moment.at - evse.transaction.started_at).total_seconds())
            for key, evse in evses
            if evse.transaction is not None
        ],
    )
    yield _gauge(
        "evse_session_energy_joules",
        "Into the EV in the running transaction, by the last reading.",
        label,
        [((key,), _joules(session_energy_wh(evse))) for key, evse in evses],
    )


def _electricity(evses: list[tuple[str, EvseSnapshot]], moment: Moment) -> Iterator[Metric]:
    label = ("evse",)
    present = [(key, present_reading(evse, moment.time)) for key, evse in evses]
    readings = [(key, reading) for key, reading in present if reading is not None]
    yield _gauge(
        "evse_power_watts",
        "By the meter; 0 while the contactor is open.",
        label,
        [((key,), reading.power_w) for key, reading in readings],
    )
    for direction, words in (("import", "from the grid"), ("export", "into the grid")):
        yield _counter(
            f"evse_energy_{direction}_joules",
            f"The meter's register of energy {words}.",
            label,
            [((key,), _joules(getattr(reading, f"energy_{direction}_wh"))) for key, reading in readings],
        )
    for name, field in (("current_amperes", "current_a"), ("voltage_volts", "voltage_v")):
        yield _gauge(
            f"evse_{name}",
            "By the meter, of each phase.",
            ("evse", "phase"),
            [
                ((key, f"L{number}"), value)
                for key, reading in readings
                for number, value in enumerate(getattr(reading, field), start=1)
            ],
        )
    yield _gauge(
        "evse_meter_age_seconds",
        "Of the last reading; it grows while the meter does not answer, or is not asked.",
        label,
        [((key,), moment.time - reading.at_time) for key, reading in readings],
    )
    yield _gauge(
        "evse_meter_ok",
        "It answers, and what it says can be believed; no sample before it was asked.",
        label,
        [((key,), _is_meter_ok(evse)) for key, evse in evses],
    )
    yield _gauge(
        "evse_offered_current_amperes",
        "What the EV is offered per phase; 0: nothing.",
        label,
        [((key,), evse.offered_current_a) for key, evse in evses],
    )
    yield _gauge(
        "evse_limit_current_amperes",
        "The most that may be offered now per phase, by whatever limits it.",
        label,
        [((key,), None if evse.limit is None else evse.limit.current_a) for key, evse in evses],
    )
    yield _gauge(
        "evse_temperature_celsius",
        "By the board.",
        label,
        [((key,), evse.hardware.temperature_c) for key, evse in evses],
    )
    yield _gauge(
        "evse_residual_current_amperes",
        "By the board.",
        label,
        [((key,), evse.hardware.residual_current_a) for key, evse in evses],
    )


def _is_meter_ok(evse: EvseSnapshot) -> bool | None:
    """By its faults: the last reading is always a good one, however long ago."""
    if any(fault.code in METER_FAULTS for fault in evse.faults):
        return False
    return True if evse.has_meter and evse.reading is not None else None


def _joules(wh: float | None) -> float | None:
    return None if wh is None else wh * JOULES_PER_WH


def _faults(moment: Moment, evses: list[tuple[str, EvseSnapshot]]) -> Iterator[Metric]:
    """EVSE "0" is the station."""
    standing = [("0", moment.snapshot.faults), *((key, evse.faults) for key, evse in evses)]
    yield _gauge(
        "evse_fault",
        "1 for each fault that stands; evse 0 is the station.",
        ("evse", "code"),
        [((key, code), 1.0) for key, faults in standing for code in sorted({each.code for each in faults})],
    )
    yield _gauge(
        "evse_faulted",
        "A fault stops charging; evse 0 is the station.",
        ("evse",),
        [((key,), any(each.stops_charging for each in faults)) for key, faults in standing],
    )


def _csms(moment: Moment) -> Iterator[Metric]:
    link, traffic = moment.sources.link, moment.sampler.traffic
    yield _gauge("evse_csms_connected", "There is a connection.", (), [((), moment.is_connected)])
    yield _gauge(
        "evse_csms_registration",
        "1 for what the CSMS last said to BootNotification.",
        ("status",),
        _one_hot(moment.registration, REGISTRATIONS),
    )
    yield _gauge(
        "evse_csms_subprotocol",
        "1 for the OCPP version that is spoken.",
        ("subprotocol",),
        [] if moment.subprotocol is None else [((moment.subprotocol,), 1.0)],
    )
    yield _counter("evse_csms_connects", "Connections that came to be.", (), [((), link.connects)])
    yield _counter(
        "evse_csms_disconnects",
        "Connections that ended, by reason.",
        ("reason",),
        [((reason,), count) for reason, count in sorted(link.disconnects.items())],
    )
    yield _counter(
        "evse_csms_connect_failures",
        "Attempts that led to no connection, by kind.",
        ("kind",),
        [((kind,), count) for kind, count in sorted(link.failures.items())],
    )
    heard_at = traffic.heard_at
    yield _gauge(
        "evse_csms_last_message_age_seconds",
        "Since the CSMS last sent a message.",
        (),
        [] if heard_at is None else [((), max(0.0, moment.at.timestamp() - heard_at))],
    )


def _calls(moment: Moment) -> Iterator[Metric]:
    traffic = moment.sampler.traffic
    yield _counter(
        "evse_ocpp_messages",
        "OCPP messages, in: of the CSMS.",
        ("direction",),
        [((direction,), count) for direction, count in sorted(traffic.messages.items())],
    )
    yield _counter(
        "evse_ocpp_messages_missed",
        "Messages that the metrics of calls know nothing of: too many came between two looks.",
        (),
        [((), traffic.missed)],
    )
    yield _histogram(
        "evse_ocpp_call_duration_seconds",
        "From our call to the result of the CSMS.",
        ("action",),
        [((action,), durations) for action, durations in sorted(traffic.calls.items())],
    )
    yield _counter(
        "evse_ocpp_call_failures",
        "Our calls that were answered with an error, or not at all.",
        ("action", "outcome"),
        [(labels, count) for labels, count in sorted(traffic.failures.items())],
    )
    yield _histogram(
        "evse_ocpp_request_duration_seconds",
        "From a call of the CSMS to our answer.",
        ("action",),
        [((action,), durations) for action, durations in sorted(traffic.requests.items())],
    )
    yield _counter(
        "evse_ocpp_request_errors",
        "Calls of the CSMS that we answered with an error.",
        ("action",),
        [((action,), count) for action, count in sorted(traffic.refusals.items())],
    )


def _store(moment: Moment, disk: Disk) -> Iterator[Metric]:
    outbox, store = moment.outbox, moment.sources.store
    yield _gauge("evse_store_up", "The database answers.", (), [((), outbox is not None)])
    if outbox is not None:
        yield _gauge(
            "evse_outbox_facts", "Messages that wait for the CSMS to take them.", (), [((), outbox.depth)]
        )
        age_s = 0.0 if outbox.oldest_at is None else (moment.at - outbox.oldest_at).total_seconds()
        yield _gauge(
            "evse_outbox_oldest_age_seconds",
            "Since the oldest of them happened; 0: none waits.",
            (),
            [((), max(0.0, age_s))],
        )
        yield _gauge(
            "evse_outbox_discarded_facts",
            "Messages that were given up; the last 1000 are kept.",
            (),
            [((), outbox.discarded)],
        )
    yield _histogram(
        "evse_store_commit_duration_seconds",
        "Of a commit until it was on the disk.",
        (),
        [((), store.commit_times)],
    )
    yield _counter("evse_store_commit_failures", "Commits that failed.", (), [((), store.failed_commits)])
    yield _gauge(
        "evse_store_size_bytes",
        "Of the database, and of its write-ahead log.",
        ("file",),
        [(("database",), disk.database), (("log",), disk.log)],
    )
    yield _gauge("evse_disk_free_bytes", "Where the state directory is.", (), [((), disk.free)])
    yield _gauge("evse_disk_size_bytes", "Where the state directory is.", (), [((), disk.size)])


def _board(moment: Moment) -> Iterator[Metric]:
    board = moment.board
    if board is None or moment.is_board_linked is None:
        return
    yield _gauge("evse_board_linked", "The link to the I/O board stands.", (), [((), moment.is_board_linked)])
    for name, words, count in (
        ("links", "How often the link was made.", board.links),
        ("frames", "Whole frames of the board.", board.frames),
        ("bad_lines", "Frames of the board with a wrong CRC, cut, or too long.", board.bad_lines),
        ("setpoints", "Setpoints that were sent.", board.setpoints),
        ("setpoint_repeats", "Sent again, because no confirmation came.", board.repeats),
        ("late_ticks", "Ticks of the board that came late, since its start.", moment.late_ticks),
    ):
        yield _counter(f"evse_board_{name}", words, (), [((), count)])
    round_trips = SummaryMetricFamily(
        "evse_board_round_trip_seconds", "From a setpoint to the board's confirmation."
    )
    round_trips.add_metric((), board.timed, board.round_trips_s)
    yield round_trips
    yield _gauge(
        "evse_board_lease_margin_seconds",
        "For how long the confirmed permission would still hold without the host; 0: it has run out.",
        ("connector",),
        [
            ((str(connector),), max(0.0, margin))
            for connector, margin in sorted(board.lease_margins_s.items())
        ],
    )
    yield _counter(
        "evse_board_lease_losses",
        "How often the lease of the host ran out, since the board's start.",
        ("connector",),
        [((str(connector),), losses) for connector, losses in sorted(board.lease_losses.items())],
    )


def _agent(moment: Moment) -> Iterator[Metric]:
    yield _histogram(
        "evse_event_loop_lag_seconds",
        "How late the event loop came to a timer, looked at each second.",
        (),
        [((), moment.sampler.lag)],
    )
    yield _counter(
        "evse_task_crashes",
        "Crashes of background tasks, each of which was started again.",
        ("task",),
        [((task,), count) for task, count in sorted(_by_kind(moment.crashes).items())],
    )
    messages = moment.sources.messages
    yield _gauge("evse_message_journal_messages", "Kept in memory.", (), [((), messages.kept)])
    yield _gauge("evse_message_journal_bytes", "Of them all.", (), [((), messages.size_bytes)])
    mqtt = moment.sources.mqtt
    if mqtt is None:
        return
    yield _gauge("evse_mqtt_connected", "The broker is there.", (), [((), mqtt.is_connected)])
    yield _counter("evse_mqtt_connects", "Connections to the broker.", (), [((), mqtt.connects)])
    yield _gauge("evse_mqtt_waiting_messages", "That the broker has not taken yet.", (), [((), mqtt.waiting)])
    yield _counter(
        "evse_mqtt_commands",
        "Commands by MQTT, by what came of them.",
        ("outcome",),
        [((outcome,), count) for outcome, count in sorted(mqtt.commands.items())],
    )


def _by_kind(crashes: Mapping[str, int]) -> Counter[str]:
    """Some tasks are named after one transaction: labels must not grow with them."""
    found: Counter[str] = Counter()
    for name, count in crashes.items():
        found[_OF_ONE_TIME.sub("", name)] += count
    return found
