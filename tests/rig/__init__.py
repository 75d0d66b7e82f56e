"""Hardware in the loop: `make rig` plays a scripted EV at a board, real or simulated, and writes a report.

`__main__.py` asks and checks, `suite_*.py` are the tests (pytest), `scenarios.py` the script, `player.py` plays it,
`recording.py` listens, `ledger.py` keeps and prints the results, `page.py` and `plot.py` draw. docs/rig.md tells how.
"""
