-- name: due
-- What is to be sent by now, the oldest first, but nothing to an address that, ended by a slash, begins with one of the prefixes.
SELECT id, job_id, url, attempts FROM webhooks
WHERE due_at <= :now
    AND NOT EXISTS (SELECT 1 FROM json_each(:prefixes) WHERE substr(url || '/', 1, length(value)) = value)
ORDER BY due_at LIMIT :limit;

-- name: next_due
-- When the next one is due.
SELECT min(due_at) FROM webhooks WHERE due_at > :after;

-- name: done
-- Forget one that was sent or given up.
DELETE FROM webhooks WHERE id = :id;

-- name: postpone
-- Try again later.
UPDATE webhooks SET attempts = attempts + 1, due_at = :until WHERE id = :id;
