"""Certificates and keys of the station, the credentials of its connection, and what happens to its security."""
