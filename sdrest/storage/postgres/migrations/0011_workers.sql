-- Workers on other machines, as the servers that they are connected to tell of them, and whether somebody wants one to leave. May be
-- lost with a crash of the database: they are told anew.
CREATE UNLOGGED TABLE workers (
    session text COLLATE "C" PRIMARY KEY,
    server  text COLLATE "C" NOT NULL,
    card    text NOT NULL,
    leaves  boolean NOT NULL,
    seen_at timestamptz NOT NULL
);
