-- When the last fact of a running transaction happened: its end after a power cut is not earlier. NULL: of an older release.
ALTER TABLE transactions ADD COLUMN last_fact_at TEXT;
