-- What a transaction looked like while it ran. Who charged, when and how much stands in transactions alone.
CREATE TABLE recorded_sessions (
    transaction_number INTEGER PRIMARY KEY REFERENCES transactions (number) ON DELETE CASCADE,
    totals TEXT NOT NULL,                   -- JSON of charging/recording.py Totals
    pace_s INTEGER NOT NULL                 -- seconds between two samples
);

-- Samples in batches, oldest first: zlib over JSON. A session that ended has one.
CREATE TABLE session_samples (
    position INTEGER PRIMARY KEY,
    transaction_number INTEGER NOT NULL REFERENCES transactions (number) ON DELETE CASCADE,
    body BLOB NOT NULL
);
CREATE INDEX session_samples_by_transaction ON session_samples (transaction_number);
