-- Files that were thrown away and can be put back, and since when the first of them is there.
ALTER TABLE jobs ADD COLUMN bin TEXT NOT NULL DEFAULT '[]';
ALTER TABLE jobs ADD COLUMN binned_at TEXT;
CREATE INDEX jobs_binned ON jobs (sequence, principal, binned_at) WHERE binned_at IS NOT NULL;

-- Favourites, tags and albums: what was noted on files, by the number of their job.
CREATE TABLE marks (
    job       INTEGER NOT NULL REFERENCES jobs (sequence) ON DELETE CASCADE,
    file      TEXT NOT NULL,
    kind      TEXT NOT NULL,
    name      TEXT NOT NULL,
    principal TEXT NOT NULL,
    PRIMARY KEY (job, file, kind, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX marks_named ON marks (kind, name, job, principal);
