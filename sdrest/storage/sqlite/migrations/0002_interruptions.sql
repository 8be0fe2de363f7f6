-- Times the server itself was stopped abruptly while it worked on the job: no fault of the job's, unless it goes on for ever.
ALTER TABLE jobs ADD COLUMN interruptions INTEGER NOT NULL DEFAULT 0;
