"""Metrics for Prometheus: what the agent knows of itself, read when somebody asks and not before.

Nothing here is called on the way of a message, a commit or a setpoint. `exposition.py` is asked by the local API; only
`families.py` imports prometheus_client, at the first scrape. Every metric is in docs/metrics.md.
"""
