-- What pictures took on this machine, by model, size and guidance.
CREATE TABLE timings (
    model_id            TEXT NOT NULL,
    width               INTEGER NOT NULL,
    height              INTEGER NOT NULL,
    guided              INTEGER NOT NULL,
    seconds_per_step    REAL NOT NULL,
    seconds_per_picture REAL NOT NULL,
    samples             INTEGER NOT NULL,
    PRIMARY KEY (model_id, width, height, guided)
) STRICT, WITHOUT ROWID;
