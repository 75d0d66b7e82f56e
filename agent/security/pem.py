"""PEM text without a cryptographic library: cut it into blocks, whatever its line ends are.

The link needs trust anchors and its own certificate before anything heavy may be imported; what stands in the blocks
is judged in `checks.py`. Pure.
"""

import re

_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----\s*(.*?)\s*-----END \1-----", re.DOTALL)


def blocks(text: str, label: str = "CERTIFICATE") -> list[str]:
    """The blocks of `label`, in order, each with plain line ends and a final newline (field notes 1.12: CRLF)."""
    return [
        f"-----BEGIN {label}-----\n{_lines(body)}\n-----END {label}-----\n"
        for found, body in _BLOCK.findall(text)
        if found == label
    ]


def _lines(body: str) -> str:
    return "\n".join(line.strip() for line in body.splitlines() if line.strip())
