-- What is searched: prompt, name of the model, and names of LoRAs in lines. It never changes, and goes with its job.
CREATE TABLE job_words (
    job    bigint PRIMARY KEY REFERENCES jobs (sequence) ON DELETE CASCADE,
    prompt text NOT NULL,
    model  text NOT NULL,
    loras  text NOT NULL
);
INSERT INTO job_words SELECT sequence, sdrest_prompt(parameters), model_name, sdrest_loras(parameters) FROM jobs;
CREATE FUNCTION sdrest_note_words() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO job_words VALUES (NEW.sequence, sdrest_prompt(NEW.parameters), NEW.model_name, sdrest_loras(NEW.parameters));
    RETURN NULL;
END $$;
CREATE TRIGGER jobs_worded AFTER INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION sdrest_note_words();

-- Where all triples of letters of these are. The extension comes with PostgreSQL; where it was not installed, or this user may not
-- create it, searching reads all texts.
DO $$
BEGIN
    CREATE EXTENSION IF NOT EXISTS pg_trgm;
    CREATE INDEX job_words_prompt ON job_words USING gin (prompt gin_trgm_ops);
    CREATE INDEX job_words_model ON job_words USING gin (model gin_trgm_ops);
    CREATE INDEX job_words_loras ON job_words USING gin (loras gin_trgm_ops);
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'no index for searching: %', SQLERRM;
END $$;
ANALYZE job_words;
