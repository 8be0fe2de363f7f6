-- name: of
-- The marks of some jobs' files.
SELECT jobs.id, marks.file, marks.kind, marks.name FROM marks JOIN jobs ON jobs.sequence = marks.job
WHERE jobs.id IN (SELECT json_array_elements_text(:ids::json)) ORDER BY marks.kind, marks.name;
