"""Times as text in the database: ISO 8601 in UTC, of one width, so that the text sorts as the time does.

Used by the repositories of this package.
"""

from datetime import UTC, datetime


def time_text(at: datetime) -> str:
    """Raises ValueError for a time without zone."""
    if at.tzinfo is None:
        raise ValueError(f"{at!r} has no time zone")
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def parse_time(text: str) -> datetime:
    """Aware UTC. Raises ValueError for text that `time_text` did not write."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return at
