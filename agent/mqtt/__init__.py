"""MQTT: tells a broker how the station is, and takes the commands that the configuration allows.

`topics`, `payloads`, `discovery`, `commands` and `outgoing` are pure; `desk` carries commands out; `bridge` alone has a
socket and imports aiomqtt (extra `mqtt`). Nothing here can hold up charging: it reads snapshots and asks the station as
everybody does. docs/mqtt.md.
"""
