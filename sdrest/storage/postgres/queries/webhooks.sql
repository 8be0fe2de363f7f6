-- name: due
-- What is to be sent by now, the oldest first, but nothing to an address that, ended by a slash, begins with one of the prefixes.
SELECT id, job_id, url, attempts FROM webhooks
WHERE due_at <= :now
    AND NOT EXISTS (
        SELECT 1 FROM json_array_elements_text(:prefixes::json) AS prefixes (value)
        WHERE substr(url || '/', 1, length(value)) = value
    )
ORDER BY due_at LIMIT :limit;
