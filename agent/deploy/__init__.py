"""What `deploy.sh` puts on a charger: the unit, udev rules, the script that works there, the lock of all wheels.

Nothing here is imported by the agent. docs/deployment.md.
"""
