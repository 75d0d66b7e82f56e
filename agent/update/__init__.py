"""Firmware updates: the order on its way (updater.py), signatures, the file (release.py), the machine (slots.py)."""
