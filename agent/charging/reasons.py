"""Why something is refused, where a partner may have a word of its own for it.

A reason is a text for logs and people; one of the parts between its colons is one of these where one fits. What a
partner calls it is the business of its front end (2.x reason codes: `agent/ocpp/v201/datatypes.py`).
"""

INVALID_TOKEN = "invalid token"
NOT_ACCEPTED_YET = "not accepted by the CSMS yet"
NOT_STORED = "not stored"
NO_SUCH_CONNECTOR = "no such EVSE or connector"
NO_SUCH_RESERVATION = "no such reservation"
NO_ROOM = "no more fit in"
RUNS = "a transaction runs"
SWITCHED_OFF = "switched off"
TOO_MANY = "too many entries"
TOKEN_TWICE = "a token is in it twice"
UPDATING = "a firmware update is being installed"
