-- Idempotency keys of groups, as jobs have them.
ALTER TABLE groups ADD COLUMN idempotency_key TEXT NOT NULL DEFAULT '';
CREATE UNIQUE INDEX groups_idempotency ON groups (principal, idempotency_key) WHERE idempotency_key <> '';
