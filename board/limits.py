"""What may differ from one connector to another: the limits and times of its wiring and its devices; pure.

A pin map gives them for its board (`board/pins`), CONFIG may restrict them (`board/config.py`), and
`board/connector.py` and its parts obey. Units are in the names: da = 0.1 A, dc = 0.1 C, ms, s. The least and
the most are the widest that any board may say; a board's own pin map bounds `max_da` further.
"""

TABLE = (
    # name, default, least, most
    ("max_da", 320, 60, 800),
    ("temp_warn_dc", 700, 300, 1000),
    ("temp_stop_dc", 850, 400, 1100),
    ("rcd_pulse_ms", 250, 50, 1000),
    ("rcd_trip_ms", 740, 100, 2000),
    ("rcd_ac_trip_ms", 0, 0, 2000),
    ("rcd_clear_ms", 1200, 200, 5000),
    ("lock_run_ms", 1000, 100, 5000),
    ("wake_after_s", 0, 0, 600),
    ("lost_host_unlock_s", 30, 0, 3600),
    ("has_ventilation", 0, 0, 1),
    ("vent_run_on_s", 60, 0, 3600),
    ("can_switch_phases", 0, 0, 1),
)
"""Every limit: its name, what holds when nothing is said, and the range that is accepted.

rcd_ac_trip_ms 0: the self-test moves the sensor's DC output only. wake_after_s 0: an EV is woken on request
only. lost_host_unlock_s 0: the cable stays locked without a host. can_switch_phases is off by default: some
EVs are destroyed for good by it."""


class Limits:
    """The limits of one connector, one attribute for each row of TABLE."""

    __slots__ = (
        "can_switch_phases",
        "has_ventilation",
        "lock_run_ms",
        "lost_host_unlock_s",
        "max_da",
        "rcd_ac_trip_ms",
        "rcd_clear_ms",
        "rcd_pulse_ms",
        "rcd_trip_ms",
        "temp_stop_dc",
        "temp_warn_dc",
        "vent_run_on_s",
        "wake_after_s",
    )

    max_da: int
    temp_warn_dc: int
    temp_stop_dc: int
    rcd_pulse_ms: int
    rcd_trip_ms: int
    rcd_ac_trip_ms: int
    rcd_clear_ms: int
    lock_run_ms: int
    wake_after_s: int
    lost_host_unlock_s: int
    has_ventilation: int
    vent_run_on_s: int
    can_switch_phases: int

    def __init__(self, values: "dict[str, int] | None" = None) -> None:
        """Raises ValueError for a name that is not in TABLE or a value out of its range."""
        for name, default, _least, _most in TABLE:
            setattr(self, name, default)
        for name in values or ():
            self.put(name, values[name])  # type: ignore[index]

    def put(self, name: str, value: int) -> None:
        """Set one limit. Raises ValueError."""
        for known, _default, least, most in TABLE:
            if known == name:
                if not isinstance(value, int) or not least <= value <= most:
                    raise ValueError("%s must be %d to %d" % (name, least, most))
                setattr(self, name, value)
                return
        raise ValueError("no limit is called %s" % name)
