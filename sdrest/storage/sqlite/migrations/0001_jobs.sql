-- Jobs: the durable queue and its history.
CREATE TABLE jobs (
    sequence            INTEGER PRIMARY KEY AUTOINCREMENT,
    id                  TEXT NOT NULL UNIQUE,
    type                TEXT NOT NULL,
    state               TEXT NOT NULL,
    principal           TEXT NOT NULL,
    priority            INTEGER NOT NULL,
    parameters          TEXT NOT NULL,
    model_id            TEXT NOT NULL,
    model_name          TEXT NOT NULL,
    attempt             INTEGER NOT NULL,
    created_at          TEXT NOT NULL,
    started_at          TEXT,
    finished_at         TEXT,
    cancel_requested_at TEXT,
    seconds             REAL,
    outputs             TEXT NOT NULL,
    failure             TEXT,
    warnings            TEXT NOT NULL,
    idempotency_key     TEXT NOT NULL,
    webhook_url         TEXT NOT NULL,
    origin              TEXT NOT NULL,
    lease_worker        TEXT,
    lease_until         TEXT,
    -- Times the job was passed over in favour of the loaded model.
    passed_over         INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX jobs_pending ON jobs (priority DESC, sequence) WHERE state = 'pending';
CREATE INDEX jobs_state ON jobs (state, sequence);
CREATE INDEX jobs_principal ON jobs (principal, sequence);
CREATE UNIQUE INDEX jobs_idempotency ON jobs (principal, idempotency_key) WHERE idempotency_key <> '';

-- When each principal last had a turn: the one who waited longest goes first.
CREATE TABLE turns (
    principal TEXT PRIMARY KEY,
    served    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Number of jobs by principal and state, kept by triggers so that counting never reads the history.
CREATE TABLE job_counts (
    principal TEXT NOT NULL,
    state     TEXT NOT NULL,
    number    INTEGER NOT NULL,
    PRIMARY KEY (principal, state)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER jobs_added AFTER INSERT ON jobs BEGIN
    INSERT INTO job_counts VALUES (new.principal, new.state, 1)
        ON CONFLICT (principal, state) DO UPDATE SET number = number + 1;
END;
CREATE TRIGGER jobs_moved AFTER UPDATE OF state ON jobs WHEN old.state <> new.state BEGIN
    UPDATE job_counts SET number = number - 1 WHERE principal = old.principal AND state = old.state;
    INSERT INTO job_counts VALUES (new.principal, new.state, 1)
        ON CONFLICT (principal, state) DO UPDATE SET number = number + 1;
END;
CREATE TRIGGER jobs_removed AFTER DELETE ON jobs BEGIN
    UPDATE job_counts SET number = number - 1 WHERE principal = old.principal AND state = old.state;
END;

-- Small values beside the jobs: whether the queue is paused, for example.
CREATE TABLE key_values (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
