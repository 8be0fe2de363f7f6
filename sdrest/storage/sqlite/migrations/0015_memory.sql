-- What a job takes of an engine's memory at the least; no engine gets it that has less.
ALTER TABLE jobs ADD COLUMN memory_bytes INTEGER NOT NULL DEFAULT 0;
DROP INDEX jobs_turns;
CREATE INDEX jobs_turns ON jobs (type, priority, principal, sequence, state, waits_for, memory_bytes)
    WHERE state = 'pending' AND waits_for = '[]';
DROP INDEX jobs_turns_of_model;
CREATE INDEX jobs_turns_of_model ON jobs (type, model_id, priority, principal, sequence, state, waits_for, memory_bytes)
    WHERE state = 'pending' AND waits_for = '[]';
