-- What each user has pending, by type and priority, and the same for one model: the next job is found by looking at the first one of
-- each user, not at all. Each index has every column that is asked for, `state` too: then the (long) rows need not be read.
CREATE INDEX jobs_turns ON jobs (type, priority, principal, sequence, state) WHERE state = 'pending';
CREATE INDEX jobs_turns_of_model ON jobs (type, model_id, priority, principal, sequence, state) WHERE state = 'pending';
-- The place in the queue.
DROP INDEX jobs_pending;
CREATE INDEX jobs_pending ON jobs (priority DESC, sequence, state) WHERE state = 'pending';
-- Ended jobs that made something, in order, however they ended: what the gallery lists and counts.
DROP INDEX jobs_with_outputs;
CREATE INDEX jobs_with_outputs ON jobs (sequence, principal, finished_at) WHERE outputs <> '[]' AND finished_at IS NOT NULL;
-- What retention deletes by age.
CREATE INDEX jobs_finished ON jobs (finished_at) WHERE finished_at IS NOT NULL;
