#!/bin/sh
# The command line of the release that runs. Written by deploy.sh.
release=$(readlink -f /opt/evse-agent/current) || exit 1
python=$release/venv/bin/python
[ -x "$python" ] || python=/opt/evse-agent/venv/bin/python
PYTHONPATH=$release exec "$python" -P -m agent "$@"
