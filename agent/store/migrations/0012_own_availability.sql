-- What was said of this very place, as 2.x wants it kept: an EVSE that comes back brings its connectors back as they were.
ALTER TABLE availability ADD COLUMN own INTEGER NOT NULL DEFAULT 1;
