-- Requests for many jobs; which jobs are of which, and where in it, the jobs say.
CREATE TABLE groups (
    sequence   INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT NOT NULL UNIQUE,
    principal  TEXT NOT NULL,
    name       TEXT NOT NULL,
    created_at TEXT NOT NULL,
    axes       TEXT NOT NULL,
    is_list    INTEGER NOT NULL
) STRICT;
CREATE INDEX groups_principal ON groups (principal, sequence);
ALTER TABLE jobs ADD COLUMN group_id TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN place INTEGER NOT NULL DEFAULT 0;
CREATE INDEX jobs_group ON jobs (group_id, sequence) WHERE group_id <> '';
