-- name: go_on
-- Nothing: numbers go on from the highest one by themselves.
SELECT 1 WHERE false;
