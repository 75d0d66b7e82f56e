-- Monitors that the CSMS has set, and what it was told of thresholds.

CREATE TABLE monitors (
    monitor_id INTEGER PRIMARY KEY,
    position INTEGER NOT NULL,              -- the order in which they were set
    body TEXT NOT NULL                      -- Monitor as JSON
);

-- Thresholds, of the CSMS and of the manufacturer, that the CSMS was told are exceeded.
CREATE TABLE exceeded_monitors (
    monitor_id INTEGER PRIMARY KEY
);

-- One row. Ids are never used twice: last_event_id is the highest one that may have been given out.
CREATE TABLE monitoring (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    base TEXT NOT NULL,
    level INTEGER NOT NULL,
    last_monitor_id INTEGER NOT NULL,
    last_event_id INTEGER NOT NULL
);
INSERT INTO monitoring (id, base, level, last_monitor_id, last_event_id) VALUES (1, 'All', 9, 9999, 0);
