"""The local API: HTTP on a unix socket in the state directory, and on a loopback port if configured."""
