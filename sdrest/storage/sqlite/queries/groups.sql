-- name: add
-- A new group.
INSERT INTO groups (id, principal, name, created_at, axes, is_list, idempotency_key)
VALUES (:id, :principal, :name, :created_at, :axes, :is_list, :idempotency_key);

-- name: get
-- One group.
SELECT * FROM groups WHERE id = :id;

-- name: by_key
-- The principal's group with an idempotency key; as in the index, none has the empty one.
SELECT * FROM groups WHERE principal = :principal AND idempotency_key = :key AND idempotency_key <> '';

-- name: find
-- Groups of everybody or of one principal, the newest first.
SELECT * FROM groups WHERE :principal IS NULL OR principal = :principal ORDER BY sequence DESC LIMIT :limit OFFSET :offset;

-- name: count
-- How many groups there are, of everybody or of one principal.
SELECT count(*) FROM groups WHERE :principal IS NULL OR principal = :principal;

-- name: remove
-- Forget a group.
DELETE FROM groups WHERE id = :id;
