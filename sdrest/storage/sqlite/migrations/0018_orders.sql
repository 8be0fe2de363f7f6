-- What jobs with files are listed in order of: the name of the model, and the size of the largest file.
ALTER TABLE jobs ADD COLUMN largest_bytes INTEGER NOT NULL DEFAULT 0;
UPDATE jobs SET largest_bytes = (SELECT coalesce(max(json_extract(value, '$.size_bytes')), 0) FROM json_each(outputs))
WHERE outputs <> '[]';
CREATE INDEX jobs_by_model ON jobs (lower(model_name), sequence DESC, principal) WHERE outputs <> '[]' AND finished_at IS NOT NULL;
CREATE INDEX jobs_by_size ON jobs (largest_bytes DESC, sequence DESC, principal) WHERE outputs <> '[]' AND finished_at IS NOT NULL;
