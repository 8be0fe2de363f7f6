-- Jobs that made something, in order: what the gallery lists and counts.
CREATE INDEX jobs_with_outputs ON jobs (state, sequence, principal) WHERE outputs <> '[]';
