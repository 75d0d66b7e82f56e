-- A transaction may run before anybody is authorized, after that has ended, or before a cable is in (OCPP 2.0.1 E01).
ALTER TABLE transactions ADD COLUMN is_authorized INTEGER NOT NULL DEFAULT 1;
ALTER TABLE transactions ADD COLUMN is_placed INTEGER NOT NULL DEFAULT 1;
-- Whether anything of any transaction waits for the CSMS has to be cheap to ask (E14).
CREATE INDEX transactions_pending ON transactions (number) WHERE pending > 0;
