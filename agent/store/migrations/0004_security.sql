-- The security log: every security event, pushed to the CSMS or not; a ring.

CREATE TABLE security_log (
    position INTEGER PRIMARY KEY,           -- order in which they were written
    at TEXT NOT NULL,                       -- ISO 8601 in UTC, sorts as the time does
    type TEXT NOT NULL,
    detail TEXT NOT NULL,
    is_pushed INTEGER NOT NULL              -- 1: an outbox row was written in the same commit
);
CREATE INDEX security_log_by_time ON security_log (at);
