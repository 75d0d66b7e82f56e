-- When the CSMS last spoke of a cached token, or it was last used (2.0.1 AuthCacheCtrlr.LifeTime). NULL: nobody knows.
ALTER TABLE tokens ADD COLUMN used_at TEXT;
