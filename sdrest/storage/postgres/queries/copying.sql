-- name: go_on
-- Let numbers go on from the highest one.
SELECT
    setval(pg_get_serial_sequence('jobs', 'sequence'), (SELECT coalesce(max(sequence), 0) + 1 FROM jobs), false),
    setval(pg_get_serial_sequence('groups', 'sequence'), (SELECT coalesce(max(sequence), 0) + 1 FROM groups), false),
    setval(pg_get_serial_sequence('webhooks', 'id'), (SELECT coalesce(max(id), 0) + 1 FROM webhooks), false);
