-- name: of
-- The marks of some jobs' files.
SELECT jobs.id, marks.file, marks.kind, marks.name FROM marks JOIN jobs ON jobs.sequence = marks.job
WHERE jobs.id IN (SELECT value FROM json_each(:ids)) ORDER BY marks.kind, marks.name;

-- name: add
-- Put a mark on a file.
INSERT INTO marks SELECT sequence, :file, :kind, :name, principal FROM jobs WHERE id = :id ON CONFLICT DO NOTHING;

-- name: take
-- Take a mark from a file.
DELETE FROM marks WHERE job = (SELECT sequence FROM jobs WHERE id = :id) AND file = :file AND kind = :kind AND name = :name;

-- name: names
-- The names in use, of everybody or of one principal.
SELECT DISTINCT name FROM marks WHERE kind = :kind AND (:principal IS NULL OR principal = :principal) ORDER BY name;

-- name: copy_name
-- Marks with another name beside those with one.
INSERT INTO marks SELECT job, file, kind, :new, principal FROM marks
WHERE kind = :kind AND name = :old AND (:principal IS NULL OR principal = :principal) ON CONFLICT DO NOTHING;

-- name: remove_name
-- Take all marks with a name away.
DELETE FROM marks WHERE kind = :kind AND name = :old AND (:principal IS NULL OR principal = :principal);
