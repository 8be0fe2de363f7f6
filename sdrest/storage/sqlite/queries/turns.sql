-- name: highest
-- The highest priority of the pending jobs of some types that wait for no others.
SELECT max((
    SELECT max(priority) FROM jobs WHERE state = 'pending' AND waits_for = '[]' AND type = types.value {within}
)) FROM json_each(:types) AS types;

-- name: lanes_of_types
-- Lanes of types.
SELECT value, NULL FROM json_each(:types)

-- name: lanes_of_models
-- Lanes of types and models.
SELECT types.value, models.value FROM json_each(:types) AS types, json_each(:models) AS models

-- name: first
-- The oldest job of the principal who waited longest for a turn. A lane is a type, or a type and a model; `waiting` are the
-- principals of each lane that have pending jobs of the priority, `firsts` the oldest such job of each.
WITH RECURSIVE
lanes (type, model_id) AS ({lanes}),
waiting (type, model_id, principal) AS (
    SELECT type, model_id, (
        SELECT min(jobs.principal) FROM jobs WHERE {in_lane}
    ) FROM lanes
    UNION ALL
    SELECT type, model_id, (
        SELECT min(jobs.principal) FROM jobs WHERE {in_lane} AND jobs.principal > lanes.principal
    ) FROM waiting AS lanes WHERE principal IS NOT NULL
),
firsts (principal, sequence) AS (
    SELECT principal, (
        SELECT min(jobs.sequence) FROM jobs WHERE {in_lane} AND jobs.principal = lanes.principal
    ) FROM waiting AS lanes WHERE principal IS NOT NULL
)
SELECT sequence, type, principal, model_id, passed_over FROM jobs WHERE sequence = (
    SELECT sequence FROM firsts LEFT JOIN turns USING (principal) ORDER BY coalesce(served, 0), sequence LIMIT 1
);

-- name: pass_over
-- Note that a job was passed over.
UPDATE jobs SET passed_over = passed_over + 1 WHERE sequence = :sequence;

-- name: serve
-- Note that a principal has had a turn.
INSERT INTO turns SELECT :principal, coalesce(max(served), 0) + 1 FROM turns WHERE true
ON CONFLICT (principal) DO UPDATE SET served = excluded.served;
