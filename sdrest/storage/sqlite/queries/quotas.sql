-- name: used
-- What somebody has used on a day.
SELECT subject, owner, images, pixel_steps, bytes FROM day_use WHERE day = :day AND subject = :subject;

-- name: used_by_all
-- What everybody has used on a day.
SELECT subject, owner, images, pixel_steps, bytes FROM day_use WHERE day = :day ORDER BY subject;

-- name: count
-- More was used.
INSERT INTO day_use (day, subject, owner, images, pixel_steps, bytes) VALUES (:day, :subject, :owner, :images, :pixel_steps, :bytes)
ON CONFLICT (day, subject) DO UPDATE SET
    owner = excluded.owner, images = day_use.images + excluded.images, pixel_steps = day_use.pixel_steps + excluded.pixel_steps,
    bytes = day_use.bytes + excluded.bytes;

-- name: give_back
-- Less was used than was counted.
UPDATE day_use SET images = images - :images, pixel_steps = pixel_steps - :pixel_steps, bytes = bytes - :bytes
WHERE day = :day AND subject = :subject;

-- name: forget_days
-- Numbers of days that are long past.
DELETE FROM day_use WHERE day < :day;

-- name: limits
-- All limits that were set.
SELECT subject, images, pixel_steps, bytes FROM limits ORDER BY subject;

-- name: limits_of
-- The limits that were set for somebody.
SELECT subject, images, pixel_steps, bytes FROM limits WHERE subject = :subject;

-- name: set_limits
-- Set somebody's limits.
INSERT INTO limits (subject, images, pixel_steps, bytes) VALUES (:subject, :images, :pixel_steps, :bytes)
ON CONFLICT (subject) DO UPDATE SET images = excluded.images, pixel_steps = excluded.pixel_steps, bytes = excluded.bytes;

-- name: forget_limits
-- Somebody has no limits of their own any more.
DELETE FROM limits WHERE subject = :subject;
