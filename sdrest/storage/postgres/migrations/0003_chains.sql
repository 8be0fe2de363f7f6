-- Which input pictures are outputs of other jobs: `<id>/<number>` by file, as a JSON object.
ALTER TABLE jobs ADD COLUMN sources text NOT NULL DEFAULT '{}';
-- Ids of the jobs whose pictures a job still waits for, as a JSON list; as long as it is not empty, the job is taken by nobody, so it is
-- in none of the indices that are looked at for the next one.
ALTER TABLE jobs ADD COLUMN waits_for text COLLATE "C" NOT NULL DEFAULT '[]';
CREATE INDEX jobs_waiting ON jobs (sequence) WHERE state = 'pending' AND waits_for <> '[]';
DROP INDEX jobs_turns;
CREATE INDEX jobs_turns ON jobs (type, priority, principal, sequence) WHERE state = 'pending' AND waits_for = '[]';
DROP INDEX jobs_turns_of_model;
CREATE INDEX jobs_turns_of_model ON jobs (type, model_id, priority, principal, sequence) WHERE state = 'pending' AND waits_for = '[]';
