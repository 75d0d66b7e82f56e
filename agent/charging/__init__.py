"""What a charge point is. No OCPP version, no JSON, no SQL, no sockets."""
