-- What is searched: prompt, name of the model, and names of LoRAs in lines. It never changes, and goes with its job.
CREATE TABLE job_words (
    job    INTEGER PRIMARY KEY REFERENCES jobs (sequence) ON DELETE CASCADE,
    prompt TEXT NOT NULL,
    model  TEXT NOT NULL,
    loras  TEXT NOT NULL
) STRICT;
INSERT INTO job_words SELECT
    sequence,
    coalesce(json_extract(parameters, '$.prompt'), ''),
    model_name,
    coalesce((SELECT group_concat(json_extract(value, '$.name'), char(10)) FROM json_each(parameters, '$.loras')), '')
FROM jobs;
CREATE TRIGGER jobs_worded AFTER INSERT ON jobs BEGIN
    INSERT INTO job_words VALUES (
        new.sequence,
        coalesce(json_extract(new.parameters, '$.prompt'), ''),
        new.model_name,
        coalesce((SELECT group_concat(json_extract(value, '$.name'), char(10)) FROM json_each(new.parameters, '$.loras')), '')
    );
END;

-- Where all triples of letters of these are: any part of a text of three letters or more is found without reading the texts.
CREATE VIRTUAL TABLE job_index USING fts5 (prompt, model, loras, content = 'job_words', content_rowid = 'job', tokenize = 'trigram');
INSERT INTO job_index (job_index) VALUES ('rebuild');
CREATE TRIGGER job_words_added AFTER INSERT ON job_words BEGIN
    INSERT INTO job_index (rowid, prompt, model, loras) VALUES (new.job, new.prompt, new.model, new.loras);
END;
CREATE TRIGGER job_words_removed AFTER DELETE ON job_words BEGIN
    INSERT INTO job_index (job_index, rowid, prompt, model, loras) VALUES ('delete', old.job, old.prompt, old.model, old.loras);
END;
