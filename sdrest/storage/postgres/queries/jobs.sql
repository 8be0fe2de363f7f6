-- name: pending
-- How many jobs wait, and how many of them are the principal's own.
SELECT
    coalesce(sum(number), 0)::bigint AS number,
    coalesce(sum(number) FILTER (WHERE principal = :principal), 0)::bigint AS own
FROM job_counts WHERE state = 'pending';

-- name: known
-- Those of the ids that are ids of jobs.
SELECT id FROM jobs WHERE id IN (SELECT json_array_elements_text(:ids::json));

-- name: key_model
-- What the order by models goes by.
lower(model_name) COLLATE "C"

-- name: search_index
-- None: the conditions below find their own (pg_trgm).

-- name: search_text
-- The condition that a text is in the prompt or the model's name.
EXISTS (
    SELECT FROM job_words AS words
    WHERE words.job = jobs.sequence AND (words.prompt ILIKE ? ESCAPE '\' OR words.model ILIKE ? ESCAPE '\')
)

-- name: search_model
-- The condition that a text is in the model's name.
EXISTS (SELECT FROM job_words AS words WHERE words.job = jobs.sequence AND words.model ILIKE ? ESCAPE '\')

-- name: search_lora
-- The condition that a text is in a LoRA's name.
EXISTS (SELECT FROM job_words AS words WHERE words.job = jobs.sequence AND words.loras ILIKE ? ESCAPE '\')

-- name: output_bytes
-- Size of all outputs, and of what lies in bins. Not read as JSON: PostgreSQL refuses an escaped NUL, which a text of an output may hold; quotes in texts are escaped,
-- so they cannot look like the name.
SELECT coalesce(sum(size[1]::bigint), 0)::bigint
FROM jobs, regexp_matches(jobs.outputs || jobs.bin, '"size_bytes":([0-9]+)', 'g') AS size
WHERE outputs <> '[]' OR binned_at IS NOT NULL;

-- name: ended
-- An ended job; nobody else may change it until that is written anew.
SELECT * FROM jobs WHERE id = :id AND finished_at IS NOT NULL FOR UPDATE;

-- name: position
-- Place of a pending job in the queue, from 1.
SELECT 1
    + (SELECT count(*) FROM jobs WHERE state = 'pending' AND priority > job.priority)
    + (SELECT count(*) FROM jobs WHERE state = 'pending' AND priority = job.priority AND sequence < job.sequence)
FROM jobs AS job WHERE id = :id AND state = 'pending';

-- name: highest_priority
-- The highest priority that waits, but for one job's.
SELECT priority FROM jobs WHERE state = 'pending' AND id <> :besides ORDER BY priority DESC LIMIT 1;

-- name: renew
-- Prolong the leases that a server has.
UPDATE jobs SET lease_until = :until
WHERE state = 'running' AND lease_id IN (SELECT json_array_elements_text(:lease_ids::json))
    AND (:server IS NULL OR lease_server = :server) RETURNING *;

-- name: outputs
-- What an attempt has made; nobody else may change it until that is written anew.
SELECT outputs FROM jobs
WHERE id = :id AND lease_id = :lease_id AND state = 'running' AND (:server IS NULL OR lease_server = :server) FOR UPDATE;

-- name: lost
-- What runs and is nobody's any more, but for what somebody is writing about just now: its lease is over, or its server has begun anew.
SELECT * FROM jobs WHERE state = 'running' AND (lease_server = :server OR lease_until < :now) FOR UPDATE SKIP LOCKED;

-- name: recover
-- After an abrupt end: queue again what was running, but for what was to be cancelled or has met too many such ends.
UPDATE jobs SET
    interruptions = interruptions + 1,
    state = CASE
        WHEN cancel_requested_at IS NOT NULL THEN 'cancelled' WHEN interruptions + 1 >= :most THEN 'failed' ELSE 'pending'
    END,
    started_at = CASE WHEN cancel_requested_at IS NOT NULL OR interruptions + 1 >= :most THEN started_at END,
    finished_at = CASE WHEN cancel_requested_at IS NOT NULL OR interruptions + 1 >= :most THEN :now END,
    failure = CASE WHEN cancel_requested_at IS NULL AND interruptions + 1 >= :most THEN :failure END,
    lease_worker = NULL, lease_until = NULL
WHERE state = 'running' AND id IN (SELECT json_array_elements_text(:ids::json)) RETURNING *;

-- name: settled_sources
-- What pending jobs wait for and need not any more: sources that have ended, or are not there.
SELECT job.id, job.waits_for, source.value AS source_id, sources.state, sources.failure
FROM jobs AS job
CROSS JOIN LATERAL json_array_elements_text(job.waits_for::json) WITH ORDINALITY AS source (value, key)
LEFT JOIN jobs AS sources ON sources.id = source.value
WHERE job.state = 'pending' AND job.waits_for <> '[]'
    AND (sources.id IS NULL OR sources.state IN ('completed', 'failed', 'cancelled'))
ORDER BY job.sequence, source.key;

-- name: sum_up
-- One number of each kind in the place of its changes.
WITH gone AS (
    DELETE FROM job_counts WHERE (principal, state) IN (
        SELECT principal, state FROM job_counts GROUP BY principal, state HAVING count(*) > 1
    ) RETURNING *
)
INSERT INTO job_counts SELECT principal, state, sum(number) FROM gone GROUP BY principal, state HAVING sum(number) <> 0;
