-- name: highest
-- The highest priority of the pending jobs of some types that wait for no others.
SELECT max((SELECT max(priority) FROM jobs WHERE state = 'pending' AND waits_for = '[]' AND type = types.value))
FROM json_array_elements_text(:types::json) AS types (value);

-- name: lanes_of_types
-- Lanes of types.
SELECT value, NULL::text FROM json_array_elements_text(:types::json) AS types (value)

-- name: lanes_of_models
-- Lanes of types and models.
SELECT types.value, models.value
FROM json_array_elements_text(:types::json) AS types (value), json_array_elements_text(:models::json) AS models (value)

-- name: serve
-- Note that a principal has had a turn.
INSERT INTO turns SELECT :principal, coalesce(max(served), 0) + 1 FROM turns
ON CONFLICT (principal) DO UPDATE SET served = excluded.served;
