-- What was used in each day (of UTC) by users and API keys; `owner` says whose a key is whose use is its owner's as well, else it is empty.
CREATE TABLE day_use (
    day         TEXT NOT NULL,
    subject     TEXT NOT NULL,
    owner       TEXT NOT NULL,
    images      INTEGER NOT NULL,
    pixel_steps INTEGER NOT NULL,
    bytes       INTEGER NOT NULL,
    PRIMARY KEY (day, subject)
) STRICT, WITHOUT ROWID;
-- How much of it a user or a key may use in a day, where that is not what everybody may: NULL is what everybody may, 0 any amount.
CREATE TABLE limits (
    subject     TEXT PRIMARY KEY,
    images      INTEGER,
    pixel_steps INTEGER,
    bytes       INTEGER
) STRICT, WITHOUT ROWID;
-- What a job was counted with, as JSON; NULL: it is not counted.
ALTER TABLE jobs ADD COLUMN charge TEXT;
