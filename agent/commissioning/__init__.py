"""Commissioning: `evse-agent init` writes a configuration, `evse-agent doctor` says what is wrong and what to do.

`detection`, `answers`, `questions` and `writing` are init's; `doctor` runs the rooms (`config_file`, `store`, `ports`,
`board`, `meters`, `readers`, `clock`, `certificates`, `csms`, `service`), each of which gives `findings`. Hardware is
reached through `hal.commissioning` only, and read only. Called by `agent/cli_init.py` and `agent/cli_doctor.py`.
"""
