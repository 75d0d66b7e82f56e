-- Where a token may be used: numbers of EVSEs joined with commas; NULL = everywhere.
ALTER TABLE tokens ADD COLUMN evse_ids TEXT;
ALTER TABLE local_list ADD COLUMN evse_ids TEXT;
