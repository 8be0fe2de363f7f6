-- name: pending
-- How many jobs wait, and how many of them are the principal's own.
SELECT coalesce(sum(number), 0) AS number, coalesce(sum(number) FILTER (WHERE principal = :principal), 0) AS own
FROM job_counts WHERE state = 'pending';

-- name: add
-- A new job.
INSERT INTO jobs (
    id, type, state, principal, priority, parameters, model_id, model_name, attempt, created_at, started_at, finished_at,
    cancel_requested_at, seconds, outputs, largest_bytes, bin, binned_at, failure, warnings, idempotency_key, webhook_url, origin, interruptions,
    result_key, reused_from, lease_id, sources, waits_for, varied_from, group_id, place, memory_bytes, charge
) VALUES (
    :id, :type, :state, :principal, :priority, :parameters, :model_id, :model_name, :attempt, :created_at, :started_at, :finished_at,
    :cancel_requested_at, :seconds, :outputs, :largest_bytes, :bin, :binned_at, :failure, :warnings, :idempotency_key, :webhook_url, :origin,
    :interruptions, :result_key, :reused_from, :lease_id, :sources, :waits_for, :varied_from, :group_id, :place, :memory_bytes, :charge
);

-- name: end_new
-- The state of a job that was added as pending and has ended already.
UPDATE jobs SET state = :state WHERE id = :id;

-- name: get
-- One job.
SELECT * FROM jobs WHERE id = :id;

-- name: known
-- Those of the ids that are ids of jobs.
SELECT id FROM jobs WHERE id IN (SELECT value FROM json_each(:ids));

-- name: by_key
-- The principal's job with an idempotency key; as in the index, none has the empty one.
SELECT * FROM jobs WHERE principal = :principal AND idempotency_key = :key AND idempotency_key <> '';

-- name: by_result
-- The principal's newest completed job with a result key; as in the index, none has the empty one.
SELECT * FROM jobs
WHERE result_key = :key AND result_key <> '' AND principal = :principal AND state = 'completed'
ORDER BY sequence DESC LIMIT 1;

-- name: forget_key
-- Take the idempotency key from an ended job.
UPDATE jobs SET idempotency_key = '' WHERE id = :id AND state IN ('completed', 'failed', 'cancelled');

-- name: find
-- A page of the jobs that match; the condition is built, so that each kind of filter gets the index that suits it.
SELECT jobs.* FROM {tables} {where} ORDER BY {order} LIMIT ? OFFSET ?;

-- name: key_model
-- What the order by models goes by.
lower(model_name)

-- name: key_size
-- What the order by sizes goes by.
largest_bytes

-- name: key_favourites
-- What the order by favourites goes by.
CASE WHEN EXISTS (SELECT 1 FROM marks WHERE marks.job = jobs.sequence AND marks.kind = 'favourite') THEN 1 ELSE 0 END

-- name: search_index
-- The jobs beside what the index of all triples of letters has of them: in order, and read only as far as is asked for.
job_index CROSS JOIN jobs ON jobs.sequence = job_index.rowid

-- name: search_text
-- The condition that a text is in the prompt or the model's name.
EXISTS (
    SELECT 1 FROM job_words AS words
    WHERE words.job = jobs.sequence AND (words.prompt LIKE ? ESCAPE '\' OR words.model LIKE ? ESCAPE '\')
)

-- name: search_model
-- The condition that a text is in the model's name.
EXISTS (SELECT 1 FROM job_words AS words WHERE words.job = jobs.sequence AND words.model LIKE ? ESCAPE '\')

-- name: search_seed
-- The condition that a picture has a seed, or was asked for with it; quotes in texts are escaped, so they cannot look like the name.
outputs LIKE ? ESCAPE '\' OR parameters LIKE ? ESCAPE '\'

-- name: search_lora
-- The condition that a text is in a LoRA's name.
EXISTS (SELECT 1 FROM job_words AS words WHERE words.job = jobs.sequence AND words.loras LIKE ? ESCAPE '\')

-- name: count
-- How many jobs match.
SELECT count(*) FROM {tables} {where};

-- name: counts
-- Number of jobs by state, of everybody or of one principal.
SELECT state, sum(number) FROM job_counts WHERE :principal IS NULL OR principal = :principal GROUP BY state;

-- name: output_bytes
-- Size of all outputs, and of what lies in bins.
SELECT coalesce(sum(size), 0) FROM (
    SELECT json_extract(item.value, '$.size_bytes') AS size FROM jobs, json_each(jobs.outputs) AS item
    UNION ALL
    SELECT json_extract(item.value, '$.output.size_bytes') FROM jobs, json_each(jobs.bin) AS item WHERE binned_at IS NOT NULL
);

-- name: position
-- Place of a pending job in the queue, from 1.
SELECT 1
    + (SELECT count(*) FROM jobs INDEXED BY jobs_pending WHERE state = 'pending' AND priority > job.priority)
    + (
        SELECT count(*) FROM jobs INDEXED BY jobs_pending
        WHERE state = 'pending' AND priority = job.priority AND sequence < job.sequence
    )
FROM jobs AS job WHERE id = :id AND state = 'pending';

-- name: highest_priority
-- The highest priority that waits, but for one job's.
SELECT priority FROM jobs INDEXED BY jobs_pending WHERE state = 'pending' AND id <> :besides ORDER BY priority DESC LIMIT 1;

-- name: claim
-- Start the job whose turn it is.
UPDATE jobs SET
    state = 'running', attempt = attempt + 1, started_at = :now,
    lease_id = :lease_id, lease_server = :server, lease_worker = :worker, lease_until = :until
WHERE sequence = :sequence AND state = 'pending' RETURNING *;

-- name: renew
-- Prolong the leases that a server has.
UPDATE jobs SET lease_until = :until
WHERE state = 'running' AND lease_id IN (SELECT value FROM json_each(:lease_ids)) AND (:server IS NULL OR lease_server = :server)
RETURNING *;

-- name: take_over
-- Let a lease that holds be another server's from now on.
UPDATE jobs SET lease_server = :server, lease_worker = :worker, lease_until = :until
WHERE state = 'running' AND lease_id = :lease_id RETURNING *;

-- name: outputs
-- What an attempt has made.
SELECT outputs FROM jobs
WHERE id = :id AND lease_id = :lease_id AND state = 'running' AND (:server IS NULL OR lease_server = :server);

-- name: set_outputs
-- What an attempt has made by now.
UPDATE jobs SET outputs = :outputs, largest_bytes = :largest_bytes WHERE id = :id;

-- name: finish
-- End an attempt; only success is quicker than a wish to cancel.
UPDATE jobs SET
    state = CASE WHEN cancel_requested_at IS NOT NULL AND :state = 'failed' THEN 'cancelled' ELSE :state END,
    failure = CASE WHEN cancel_requested_at IS NULL THEN :failure END,
    finished_at = :now, outputs = :outputs, largest_bytes = :largest_bytes, seconds = :seconds, warnings = :warnings,
    lease_worker = NULL, lease_until = NULL
WHERE id = :id AND lease_id = :lease_id AND state = 'running' AND (:server IS NULL OR lease_server = :server) RETURNING *;

-- name: release
-- Put a running job back in its place; one that was to be cancelled is.
UPDATE jobs SET
    state = CASE WHEN cancel_requested_at IS NULL THEN 'pending' ELSE 'cancelled' END,
    attempt = CASE WHEN cancel_requested_at IS NULL AND NOT :count THEN attempt - 1 ELSE attempt END,
    started_at = CASE WHEN cancel_requested_at IS NOT NULL THEN started_at END,
    finished_at = CASE WHEN cancel_requested_at IS NOT NULL THEN :now END,
    outputs = :outputs, largest_bytes = :largest_bytes, lease_worker = NULL, lease_until = NULL,
    memory_bytes = CASE WHEN memory_bytes < :memory_bytes THEN :memory_bytes ELSE memory_bytes END,
    warnings = coalesce(:warnings, warnings)
WHERE id = :id AND lease_id = :lease_id AND state = 'running' AND (:server IS NULL OR lease_server = :server) RETURNING *;

-- name: waiting
-- What waits to be taken, by what it takes to carry it out.
SELECT type, model_id, max(model_name) AS model_name, memory_bytes, count(*) AS number, min(created_at) AS oldest
FROM jobs WHERE state = 'pending' AND waits_for = '[]' GROUP BY type, model_id, memory_bytes;

-- name: at_work
-- What runs, by who has it and the model.
SELECT lease_worker, model_id, max(model_name) AS model_name, count(*) AS number
FROM jobs WHERE state = 'running' GROUP BY lease_worker, model_id;

-- name: request_cancel
-- Cancel a pending job; note the wish for a running one.
UPDATE jobs SET
    cancel_requested_at = coalesce(cancel_requested_at, :now),
    finished_at = CASE state WHEN 'pending' THEN :now END,
    state = CASE state WHEN 'pending' THEN 'cancelled' ELSE state END
WHERE id = :id AND state IN ('pending', 'running');

-- name: clear_pending
-- Cancel all pending jobs, of everybody or of one principal.
UPDATE jobs SET state = 'cancelled', cancel_requested_at = :now, finished_at = :now
WHERE state = 'pending' AND (:principal IS NULL OR principal = :principal) RETURNING *;

-- name: lost
-- What runs and is nobody's any more: its lease is over, or its server has begun anew.
SELECT * FROM jobs WHERE state = 'running' AND (lease_server = :server OR lease_until < :now);

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
WHERE state = 'running' AND id IN (SELECT value FROM json_each(:ids)) RETURNING *;

-- name: sum_up
-- Nothing: the triggers keep one number of each kind.
SELECT 1 WHERE false;

-- name: settled_sources
-- What pending jobs wait for and need not any more: sources that have ended, or are not there.
SELECT job.id, job.waits_for, source.value AS source_id, sources.state, sources.failure
FROM jobs AS job INDEXED BY jobs_waiting, json_each(job.waits_for) AS source LEFT JOIN jobs AS sources ON sources.id = source.value
WHERE job.state = 'pending' AND job.waits_for <> '[]'
    AND (sources.id IS NULL OR sources.state IN ('completed', 'failed', 'cancelled'))
ORDER BY job.sequence, source.key;

-- name: wait_on
-- What a pending job still waits for.
UPDATE jobs SET waits_for = :waits_for WHERE id = :id AND state = 'pending' RETURNING *;

-- name: end_waiting
-- End a pending job whose source will not come.
UPDATE jobs SET state = :state, failure = :failure, finished_at = :now WHERE id = :id AND state = 'pending' RETURNING *;

-- name: prioritise
-- Change the priority of a pending job.
UPDATE jobs SET priority = :priority WHERE id = :id AND state = 'pending' RETURNING *;

-- name: remove
-- Forget an ended job.
DELETE FROM jobs WHERE id = :id AND state IN ('completed', 'failed', 'cancelled');

-- name: ended
-- An ended job; nobody else may change it until that is written anew.
SELECT * FROM jobs WHERE id = :id AND finished_at IS NOT NULL;

-- name: set_bin
-- Which files an ended job has, and which lie in its bin. It may lack something, so it answers no later request.
UPDATE jobs SET outputs = :outputs, largest_bytes = :largest_bytes, bin = :bin, binned_at = :binned_at, result_key = ''
WHERE id = :id RETURNING *;

-- name: get_value
-- A small value beside the jobs.
SELECT value FROM key_values WHERE key = :key;

-- name: set_value
-- Keep a small value beside the jobs.
INSERT INTO key_values VALUES (:key, :value) ON CONFLICT (key) DO UPDATE SET value = excluded.value;
