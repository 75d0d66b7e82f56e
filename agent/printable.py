"""Text of others (a CSMS, a car, a card) for terminals and logs: no character of it moves the cursor or hides a line.

Escape sequences, 8-bit control characters and marks that turn the direction of writing become visible: `\\x1b`. Imports
nothing of the agent. Called by `log.py`, `log_file.py` and the command line.
"""


def printable(text: str, keep: str = "") -> str:
    """In one line; `keep`: characters that stay whatever they do, such as a line feed."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() or letter in keep else _shown(letter) for letter in text)


def printable_json(content: object, indent: int | None = None) -> str:
    """JSON that a terminal may show: the same content, with escapes where it would do something."""
    import json  # most verbs write none

    text = json.dumps(content, indent=indent, ensure_ascii=False)
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() or letter == "\n" else json.dumps(letter)[1:-1] for letter in text
    )


def _shown(letter: str) -> str:
    if letter.isspace():
        return " "
    return letter.encode("unicode_escape").decode()
