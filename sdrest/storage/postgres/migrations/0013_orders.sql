-- What jobs with files are listed in order of: the name of the model, and the size of the largest file.
ALTER TABLE jobs ADD COLUMN largest_bytes bigint NOT NULL DEFAULT 0;
-- Not read as JSON: PostgreSQL refuses an escaped NUL, which a text of an output may hold.
UPDATE jobs SET largest_bytes = (
    SELECT coalesce(max(size[1]::bigint), 0) FROM regexp_matches(outputs, '"size_bytes":([0-9]+)', 'g') AS size
) WHERE outputs <> '[]';
CREATE INDEX jobs_by_model ON jobs (lower(model_name) COLLATE "C", sequence DESC, principal)
WHERE outputs <> '[]' AND finished_at IS NOT NULL;
CREATE INDEX jobs_by_size ON jobs (largest_bytes DESC, sequence DESC, principal) WHERE outputs <> '[]' AND finished_at IS NOT NULL;
