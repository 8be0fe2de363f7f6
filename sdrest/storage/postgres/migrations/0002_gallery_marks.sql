-- What the SQLite schema has in its tenth version.
ALTER TABLE jobs ADD COLUMN bin text COLLATE "C" NOT NULL DEFAULT '[]';
ALTER TABLE jobs ADD COLUMN binned_at text COLLATE "C";
CREATE INDEX jobs_binned ON jobs (sequence, principal, binned_at) WHERE binned_at IS NOT NULL;

CREATE TABLE marks (
    job       bigint NOT NULL REFERENCES jobs (sequence) ON DELETE CASCADE,
    file      text COLLATE "C" NOT NULL,
    kind      text COLLATE "C" NOT NULL,
    name      text COLLATE "C" NOT NULL,
    principal text COLLATE "C" NOT NULL,
    PRIMARY KEY (job, file, kind, name)
);
CREATE INDEX marks_named ON marks (kind, name, job, principal);

-- Names of a job's LoRAs in lines, for searching; empty where its parameters hold what PostgreSQL's texts cannot.
CREATE FUNCTION sdrest_loras(parameters text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN coalesce((SELECT string_agg(item ->> 'name', E'\n') FROM json_array_elements(parameters::json -> 'loras') AS item), '');
EXCEPTION WHEN OTHERS THEN
    RETURN '';
END $$;
