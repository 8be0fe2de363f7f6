-- name: take
-- Take a turn in one call; see the function.
SELECT sdrest_take_turn(
    ARRAY(SELECT json_array_elements_text(:types::json)), ARRAY(SELECT json_array_elements_text(:models::json)), :most_passed_over
);
