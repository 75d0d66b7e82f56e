-- The local authorization list and the reservations. Times are ISO 8601 in UTC.

-- `key` is what two tokens are compared by; an entry says nothing else of the token itself.
CREATE TABLE local_list (
    key TEXT PRIMARY KEY,
    status TEXT NOT NULL,
    expires_at TEXT,
    group_value TEXT,
    group_type TEXT
) WITHOUT ROWID;

-- One row. version is 0 while the list is empty; length is the number of entries.
CREATE TABLE local_list_state (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    version INTEGER NOT NULL,
    length INTEGER NOT NULL
);
INSERT INTO local_list_state (id, version, length) VALUES (1, 0, 0);

-- Reservations that have not ended; position is the order in which they were made.
CREATE TABLE reservations (
    position INTEGER PRIMARY KEY,
    reservation_id INTEGER NOT NULL UNIQUE,
    id_token TEXT NOT NULL,
    id_token_type TEXT NOT NULL,
    group_value TEXT,
    group_type TEXT,
    expires_at TEXT NOT NULL,
    evse_id INTEGER,                        -- NULL: any EVSE
    connector_id INTEGER                    -- NULL: any connector of the EVSE
);
