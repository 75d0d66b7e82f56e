"""An independent witness: the cases of the OCPP 1.6 compliance tool, played against the real process.

`central_system` is the PyPI package `ocpp` behind a websockets server; `station` starts `evse-agent run` and moves
cars, cards and faults through the local API; `rig` joins them and knows the reusable states; `files` and `authority`
play file servers and certificate authorities. Nothing here imports the agent.
"""
