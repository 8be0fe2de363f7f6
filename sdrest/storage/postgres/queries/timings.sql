-- name: record
-- Mix a measurement into what is known; the first ones count alike, later ones by the weight.
INSERT INTO timings (model_id, width, height, guided, seconds_per_step, seconds_per_picture, samples)
VALUES (:model_id, :width, :height, :guided, :seconds_per_step, :seconds_per_picture, 1)
ON CONFLICT (model_id, width, height, guided) DO UPDATE SET
    seconds_per_step = timings.seconds_per_step
        + greatest(:weight, 1.0 / (timings.samples + 1)) * (excluded.seconds_per_step - timings.seconds_per_step),
    seconds_per_picture = timings.seconds_per_picture
        + greatest(:weight, 1.0 / (timings.samples + 1)) * (excluded.seconds_per_picture - timings.seconds_per_picture),
    samples = timings.samples + 1;
