"""The charge point agent: charging rules, OCPP front ends, durable store, vendor commands, local API."""
