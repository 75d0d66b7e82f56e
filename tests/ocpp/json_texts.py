"""Strategies for JSON: values of any shape, and texts that nearly are OCPP-J messages."""

import json

from hypothesis import strategies as st

_leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
    | st.sampled_from(["idTag", "at", "many", "2026-01-01T00:00:00+02", "Heartbeat", "FormationViolation"])
)


def json_values() -> st.SearchStrategy[object]:
    names = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(
        ["idTag", "connectorId", "inner", "many", "at", "someValue", "validFrom"]
    )
    return st.recursive(
        _leaves,
        lambda inner: st.lists(inner, max_size=6) | st.dictionaries(names, inner, max_size=6),
        max_leaves=12,
    )


def message_like_texts() -> st.SearchStrategy[str]:
    """Arrays that start like a message, cut, patched or whole; and any text at all."""
    kinds = st.sampled_from([2, 3, 4, 2.0, "2", 5, 6, -1, None])
    ids = st.text(max_size=40) | st.sampled_from(["", "1", "x" * 36, "x" * 37, None, 7])
    arrays = st.builds(
        lambda kind, message_id, rest: json.dumps([kind, message_id, *rest]),
        kinds,
        ids,
        st.lists(json_values(), max_size=5),
    )
    cut = st.builds(lambda text, size: text[:size], arrays, st.integers(0, 60))
    patched = st.builds(
        lambda text, place, patch: text[:place] + patch + text[place:],
        arrays,
        st.integers(0, 60),
        st.text(max_size=3),
    )
    return arrays | cut | patched | st.text()
