-- name: add_account
-- A new account.
INSERT INTO accounts VALUES (:name, :role, :password_hash, :created_at, :password_changed_at);

-- name: account
-- One account.
SELECT * FROM accounts WHERE name = :name;

-- name: accounts
-- All accounts.
SELECT * FROM accounts ORDER BY name;

-- name: set_password
-- A new password.
UPDATE accounts SET password_hash = :password_hash, password_changed_at = :now WHERE name = :name;

-- name: rehash
-- Another digest of the same password.
UPDATE accounts SET password_hash = :new_hash WHERE name = :name AND password_hash = :old_hash;

-- name: set_role
-- Another role.
UPDATE accounts SET role = :role WHERE name = :name;

-- name: remove_account
-- An account's end.
DELETE FROM accounts WHERE name = :name;

-- name: others
-- Whether there is another account; with a role, another one that has it.
SELECT 1 FROM accounts WHERE name <> :name AND (:role IS NULL OR role = :role) LIMIT 1;

-- name: forget_expired
-- Sessions whose tokens could not be shown any more.
DELETE FROM sessions WHERE expires_at < :now;

-- name: add_session
-- A new session.
INSERT INTO sessions VALUES (:id, :principal, :role, :method, :api_key_id, :refresh_id, :created_at, :expires_at, NULL);

-- name: session
-- One session.
SELECT * FROM sessions WHERE id = :id;

-- name: rotate
-- Exchange the refresh token of a session that is still good.
UPDATE sessions SET refresh_id = :new, role = :role, expires_at = :expires_at
WHERE id = :id AND refresh_id = :old AND refresh_id <> '' AND revoked_at IS NULL;

-- name: revoke
-- End one session.
UPDATE sessions SET revoked_at = :now WHERE id = :id AND revoked_at IS NULL;

-- name: revoke_all
-- End all sessions of a principal.
UPDATE sessions SET revoked_at = :now WHERE principal = :principal AND revoked_at IS NULL;

-- name: add_key
-- A new API key.
INSERT INTO api_keys VALUES (:id, :name, :owner, :permissions, :digest, :hint, :created_at, :expires_at, NULL);

-- name: key_named
-- Whether a name is taken.
SELECT 1 FROM api_keys WHERE name = :name;

-- name: find_key
-- The key with a digest or an id.
SELECT * FROM api_keys WHERE digest = :digest OR id = :id;

-- name: keys
-- All keys, the oldest first.
SELECT * FROM api_keys ORDER BY created_at, id;

-- name: remove_key
-- A key's end.
DELETE FROM api_keys WHERE id = :id;

-- name: remove_keys
-- The end of all keys of an account.
DELETE FROM api_keys WHERE owner = :owner;

-- name: forget_limits
-- How much an account and its keys may use is not set any more.
DELETE FROM limits WHERE subject = :name OR subject IN (SELECT 'key:' || name FROM api_keys WHERE owner = :name);

-- name: forget_limits_of_key
-- How much a key may use is not set any more.
DELETE FROM limits WHERE subject IN (SELECT 'key:' || name FROM api_keys WHERE id = :id);

-- name: touch_key
-- When a key was last used.
UPDATE api_keys SET last_used_at = :now WHERE id = :id;
