-- Whose the running jobs are: the claim, by an id that never comes again, and the server (empty: the only one there is).
ALTER TABLE jobs ADD COLUMN lease_id TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN lease_server TEXT NOT NULL DEFAULT '';
