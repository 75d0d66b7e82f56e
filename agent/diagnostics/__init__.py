"""What the station can tell of itself in one file, and how that file gets to a server.

`collecting.py` gathers, `archive.py` packs, `uploads.py` brings away. Rules: `agent/charging/diagnostics.py`; transfer:
`agent/transfer`. Built by `building.py` for `agent/app.py`. What is in the file: docs/diagnostics.md.
"""
