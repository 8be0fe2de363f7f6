-- Endings of jobs that are still to be reported. Rows are written by a trigger, in the transaction that ends the job: a report is
-- lost or made up only if the ending is.
CREATE TABLE webhooks (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id   TEXT NOT NULL,
    url      TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    due_at   TEXT NOT NULL
) STRICT;
CREATE INDEX webhooks_due ON webhooks (due_at);
CREATE TRIGGER jobs_ended AFTER UPDATE OF state ON jobs
WHEN new.state IN ('completed', 'failed', 'cancelled') AND old.state NOT IN ('completed', 'failed', 'cancelled') BEGIN
    INSERT INTO webhooks (job_id, url, due_at) SELECT new.id, new.webhook_url, new.finished_at WHERE new.webhook_url <> '';
    -- The address of the settings, for all jobs; kept here at start.
    INSERT INTO webhooks (job_id, url, due_at)
        SELECT new.id, json_extract(value, '$'), new.finished_at FROM key_values
        WHERE key = 'webhooks.url' AND json_extract(value, '$') <> '';
END;
