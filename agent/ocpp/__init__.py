"""How the station is told to a CSMS: OCPP-J framing, the link, and one front end per version."""
