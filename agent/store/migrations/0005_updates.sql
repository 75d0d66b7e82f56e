-- The firmware update under way, if there is one. Only ever one row.
CREATE TABLE firmware_update (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    last_number INTEGER NOT NULL,           -- of the last order; never used twice
    body TEXT,                              -- the update as JSON; NULL: none is under way
    last_status TEXT                        -- the last FirmwareStatusChanged as JSON; NULL: there never was one
);
INSERT INTO firmware_update (id, last_number, body, last_status) VALUES (1, 0, NULL, NULL);
