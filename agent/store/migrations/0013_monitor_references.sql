-- What a change is counted from (delta monitors, of the CSMS and of the manufacturer): the value when the monitor was
-- set, or when it last spoke. A missing row: it has seen none yet.
CREATE TABLE monitor_references (
    monitor_id INTEGER PRIMARY KEY,
    value TEXT NOT NULL
);
