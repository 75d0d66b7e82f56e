"""The witness of OCPP 2.0.1: cases of the compliance tool for the Core profile, played against the real process.

The CSMS is the same `central_system` with the words of 2.0.1; `rig` knows the reusable states. One process per file.
"""
