"""Hardware as small promises: ports, drivers and a simulator. Knows nothing of OCPP or of the agent."""
