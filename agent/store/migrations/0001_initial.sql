-- Tables of the first release. Times are ISO 8601 in UTC, energy is the raw meter register in Wh, facts are JSON.
-- This file is never edited after a release; a change of the schema is a new file.

-- Running transactions, ended ones that still have rows in the outbox, and a short history of the others.
CREATE TABLE transactions (
    number INTEGER PRIMARY KEY,             -- order of start; never used twice
    transaction_id TEXT NOT NULL UNIQUE,
    evse_id INTEGER NOT NULL,
    connector_id INTEGER NOT NULL,
    id_token TEXT,
    id_token_type TEXT,
    started_at TEXT NOT NULL,
    meter_start_wh INTEGER NOT NULL,
    register_wh INTEGER NOT NULL,           -- last known; the final one once it is stopped
    register_at TEXT NOT NULL,
    next_seq_no INTEGER NOT NULL,
    reference TEXT,                         -- what the CSMS calls it
    pending INTEGER NOT NULL,               -- how many rows of it the outbox holds
    started TEXT,                           -- the TransactionStarted fact; NULL once stopped and delivered
    stopped_at TEXT,
    stop_reason TEXT
);
CREATE INDEX transactions_open ON transactions (number) WHERE stopped_at IS NULL;
CREATE INDEX transactions_finished ON transactions (number) WHERE stopped_at IS NOT NULL AND pending = 0;

-- Samples of running transactions for TransactionStopped.samples.
CREATE TABLE stop_samples (
    position INTEGER PRIMARY KEY,
    transaction_number INTEGER NOT NULL REFERENCES transactions (number) ON DELETE CASCADE,
    body TEXT NOT NULL
);
CREATE INDEX stop_samples_by_transaction ON stop_samples (transaction_number);

-- Facts that the CSMS has not acknowledged. No foreign key to transactions: checking it would cost an index page
-- for every fact; transactions.pending is kept in the same commit instead.
CREATE TABLE outbox (
    row_id INTEGER PRIMARY KEY,
    transaction_number INTEGER,             -- NULL: not about a transaction
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0
);

-- One row: the last row_id given out (never used twice) and how many rows the outbox holds.
CREATE TABLE outbox_state (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    last_row_id INTEGER NOT NULL,
    depth INTEGER NOT NULL
);
INSERT INTO outbox_state (id, last_row_id, depth) VALUES (1, 0, 0);

-- Facts given up after all attempts, or that cannot be read any more; the last 1,000.
CREATE TABLE discarded (
    row_id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    reason TEXT NOT NULL
);

CREATE TABLE settings (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- evse_id 0: the station; connector_id 0: the whole EVSE. A missing row means operative.
CREATE TABLE availability (
    evse_id INTEGER NOT NULL,
    connector_id INTEGER NOT NULL,
    is_operative INTEGER NOT NULL,
    PRIMARY KEY (evse_id, connector_id)
) WITHOUT ROWID;

-- The authorization cache; position is the order in which the CSMS last spoke of a token.
CREATE TABLE tokens (
    position INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    status TEXT NOT NULL,
    expires_at TEXT,
    group_value TEXT,
    group_type TEXT
);

-- Local hardware actions asked for by vendor commands or the local API; the last 10,000.
CREATE TABLE audit (
    position INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    source TEXT NOT NULL,
    action TEXT NOT NULL,
    evse_id INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    detail TEXT NOT NULL
);
