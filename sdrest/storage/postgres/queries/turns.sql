-- name: take
-- Take a turn in one call; see the function.
SELECT sdrest_take_turn(
    ARRAY(SELECT json_array_elements_text(:types::json)), ARRAY(SELECT json_array_elements_text(:models::json)),
    ARRAY(SELECT json_array_elements_text(:at_hand::json)), :fetches, :memory_bytes,
    ARRAY(SELECT json_array_elements_text(:besides::json)), :most_passed_over
);
