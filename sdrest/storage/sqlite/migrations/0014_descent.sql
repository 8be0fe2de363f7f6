-- The output whose parameters a job has, but for the seed: `<id>/<number>`.
ALTER TABLE jobs ADD COLUMN varied_from TEXT NOT NULL DEFAULT '';
UPDATE jobs SET varied_from = json_extract(origin, '$.varied_from') || '/0' WHERE json_extract(origin, '$.varied_from') IS NOT NULL;

-- Which jobs came of an output: what `sources` and `varied_from` say, the other way round. An output that is not there any more stays
-- what they came from.
CREATE TABLE descent (
    source TEXT NOT NULL,
    job    INTEGER NOT NULL REFERENCES jobs (sequence) ON DELETE CASCADE,
    PRIMARY KEY (source, job)
) STRICT, WITHOUT ROWID;
CREATE INDEX descent_job ON descent (job);
INSERT OR IGNORE INTO descent SELECT source.value, jobs.sequence FROM jobs, json_each(jobs.sources) AS source WHERE sources <> '{}';
INSERT OR IGNORE INTO descent SELECT varied_from, sequence FROM jobs WHERE varied_from <> '';
CREATE TRIGGER jobs_descended AFTER INSERT ON jobs WHEN new.sources <> '{}' OR new.varied_from <> '' BEGIN
    INSERT OR IGNORE INTO descent SELECT value, new.sequence FROM json_each(new.sources);
    INSERT OR IGNORE INTO descent SELECT new.varied_from, new.sequence WHERE new.varied_from <> '';
END;
