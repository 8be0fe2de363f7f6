-- The output whose parameters a job has, but for the seed: `<id>/<number>`.
ALTER TABLE jobs ADD COLUMN varied_from text COLLATE "C" NOT NULL DEFAULT '';
-- Not read as JSON: PostgreSQL refuses an escaped NUL, which what a client sent along may hold.
UPDATE jobs SET varied_from = substring(origin FROM '"varied_from":"([0-9a-f-]{36})"') || '/0'
WHERE origin ~ '"varied_from":"[0-9a-f-]{36}"';

-- Which jobs came of an output: what `sources` and `varied_from` say, the other way round. An output that is not there any more stays
-- what they came from.
CREATE TABLE descent (
    source text COLLATE "C" NOT NULL,
    job    bigint NOT NULL REFERENCES jobs (sequence) ON DELETE CASCADE,
    PRIMARY KEY (source, job)
);
CREATE INDEX descent_job ON descent (job);
INSERT INTO descent SELECT source.value, jobs.sequence FROM jobs, json_each_text(jobs.sources::json) AS source
WHERE sources <> '{}' ON CONFLICT DO NOTHING;
INSERT INTO descent SELECT varied_from, sequence FROM jobs WHERE varied_from <> '' ON CONFLICT DO NOTHING;
CREATE FUNCTION sdrest_descend() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO descent SELECT value, NEW.sequence FROM json_each_text(NEW.sources::json) ON CONFLICT DO NOTHING;
    INSERT INTO descent SELECT NEW.varied_from, NEW.sequence WHERE NEW.varied_from <> '' ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER jobs_descended AFTER INSERT ON jobs FOR EACH ROW
WHEN (NEW.sources <> '{}' OR NEW.varied_from <> '') EXECUTE FUNCTION sdrest_descend();
