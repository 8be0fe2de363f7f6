-- What was used in each day (of UTC) by users and API keys; `owner` says whose a key is whose use is its owner's as well, else it is empty.
CREATE TABLE day_use (
    day         text COLLATE "C" NOT NULL,
    subject     text COLLATE "C" NOT NULL,
    owner       text COLLATE "C" NOT NULL,
    images      bigint NOT NULL,
    pixel_steps bigint NOT NULL,
    bytes       bigint NOT NULL,
    PRIMARY KEY (day, subject)
);
-- How much of it a user or a key may use in a day, where that is not what everybody may: NULL is what everybody may, 0 any amount.
CREATE TABLE limits (
    subject     text COLLATE "C" PRIMARY KEY,
    images      bigint,
    pixel_steps bigint,
    bytes       bigint
);
-- What a job was counted with, as JSON; NULL: it is not counted.
ALTER TABLE jobs ADD COLUMN charge text;
