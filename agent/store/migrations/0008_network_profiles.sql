-- Where the station may connect to. A slot without a row is empty; body NULL = the connection of the configuration file.
CREATE TABLE network_profiles (
    slot INTEGER PRIMARY KEY,
    body TEXT                               -- NetworkProfile as JSON
);
INSERT INTO network_profiles (slot, body) VALUES (1, NULL);

-- One row: the slot of the last connection that worked, and the address in the configuration file at that start.
CREATE TABLE network_state (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    last_good_slot INTEGER,
    configured_url TEXT
);
INSERT INTO network_state (id, last_good_slot, configured_url) VALUES (1, NULL, NULL);
