-- Servers that work on this queue, and the newest previews of running jobs that somebody looks at from another server. Both may be
-- lost with a crash of the database: they are told anew.
CREATE UNLOGGED TABLE servers (
    id       text COLLATE "C" PRIMARY KEY,
    name     text NOT NULL,
    since    timestamptz NOT NULL,
    seen_at  timestamptz NOT NULL
);
CREATE UNLOGGED TABLE previews (
    job_id   text COLLATE "C" PRIMARY KEY,
    step     integer NOT NULL,
    width    integer NOT NULL,
    height   integer NOT NULL,
    jpeg     bytea NOT NULL,
    shown_at timestamptz NOT NULL
);
