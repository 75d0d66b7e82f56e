-- Messages for the display that the CSMS has set and that are not over.
CREATE TABLE display_messages (
    message_id INTEGER PRIMARY KEY,         -- as the CSMS gave it
    position INTEGER NOT NULL,              -- the order in which they were set
    body TEXT NOT NULL                      -- DisplayMessage as JSON
);
