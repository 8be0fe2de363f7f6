-- name: record
-- Mix a measurement into what is known; the first ones count alike, later ones by the weight.
INSERT INTO timings (model_id, width, height, guided, seconds_per_step, seconds_per_picture, samples)
VALUES (:model_id, :width, :height, :guided, :seconds_per_step, :seconds_per_picture, 1)
ON CONFLICT (model_id, width, height, guided) DO UPDATE SET
    seconds_per_step = seconds_per_step + max(:weight, 1.0 / (samples + 1)) * (excluded.seconds_per_step - seconds_per_step),
    seconds_per_picture = seconds_per_picture
        + max(:weight, 1.0 / (samples + 1)) * (excluded.seconds_per_picture - seconds_per_picture),
    samples = samples + 1;

-- name: of_model
-- All that is known of a model.
SELECT * FROM timings WHERE model_id = :model_id;
