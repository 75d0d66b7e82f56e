-- Charging profiles that are installed, each with the place where it holds. Those of a transaction go with it.
CREATE TABLE charging_profiles (
    profile_id INTEGER PRIMARY KEY,         -- as the CSMS gave it; unique in the station
    position INTEGER NOT NULL,              -- the order in which they came
    body TEXT NOT NULL                      -- InstalledProfile as JSON
);
