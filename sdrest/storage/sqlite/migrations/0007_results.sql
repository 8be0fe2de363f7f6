-- What a job's result depends on, as a digest (empty: unknown, or a result that is not repeatable), and the job it was taken from.
ALTER TABLE jobs ADD COLUMN result_key TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN reused_from TEXT NOT NULL DEFAULT '';
CREATE INDEX jobs_results ON jobs (result_key, sequence) WHERE result_key <> '';
