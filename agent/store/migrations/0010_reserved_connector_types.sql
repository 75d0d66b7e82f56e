-- A reservation may be for any connector of a type (2.x ConnectorEnumType); NULL = any type.
ALTER TABLE reservations ADD COLUMN connector_type TEXT;
