-- What a job takes of an engine's memory at the least; no engine gets it that has less.
ALTER TABLE jobs ADD COLUMN memory_bytes bigint NOT NULL DEFAULT 0;

-- Taking turns as before, but of the jobs only that an engine can carry out: for the models `within` (NULL: for any), and that take no
-- more memory than there is `room` (NULL: any).
DROP FUNCTION sdrest_take_turn(text[], text[], integer);
DROP FUNCTION sdrest_first_of_models(text[], text[], integer, bigint[]);
DROP FUNCTION sdrest_first(text[], integer, bigint[]);

CREATE FUNCTION sdrest_first(types text[], wanted integer, taken bigint[], within text[], room bigint)
RETURNS SETOF jobs LANGUAGE sql STABLE AS $$
    WITH RECURSIVE
    waiting (type, principal) AS (
        SELECT lanes.type, (
            SELECT min(jobs.principal) FROM jobs
            WHERE jobs.state = 'pending' AND jobs.waits_for = '[]' AND jobs.priority = wanted AND jobs.type = lanes.type
                AND jobs.sequence <> ALL (taken) AND (within IS NULL OR jobs.model_id = ANY (within))
                AND (room IS NULL OR jobs.memory_bytes <= room)
        ) FROM unnest(types) AS lanes (type)
        UNION ALL
        SELECT lanes.type, (
            SELECT min(jobs.principal) FROM jobs
            WHERE jobs.state = 'pending' AND jobs.waits_for = '[]' AND jobs.priority = wanted AND jobs.type = lanes.type
                AND jobs.sequence <> ALL (taken) AND (within IS NULL OR jobs.model_id = ANY (within))
                AND (room IS NULL OR jobs.memory_bytes <= room) AND jobs.principal > lanes.principal
        ) FROM waiting AS lanes WHERE lanes.principal IS NOT NULL
    ),
    firsts (principal, sequence) AS (
        SELECT lanes.principal, (
            SELECT min(jobs.sequence) FROM jobs
            WHERE jobs.state = 'pending' AND jobs.waits_for = '[]' AND jobs.priority = wanted AND jobs.type = lanes.type
                AND jobs.sequence <> ALL (taken) AND (within IS NULL OR jobs.model_id = ANY (within))
                AND (room IS NULL OR jobs.memory_bytes <= room) AND jobs.principal = lanes.principal
        ) FROM waiting AS lanes WHERE lanes.principal IS NOT NULL
    )
    SELECT * FROM jobs WHERE sequence = (
        SELECT sequence FROM firsts LEFT JOIN turns USING (principal) ORDER BY coalesce(served, 0), sequence LIMIT 1
    )
$$;

CREATE FUNCTION sdrest_first_of_models(types text[], models text[], wanted integer, taken bigint[], within text[], room bigint)
RETURNS SETOF jobs LANGUAGE sql STABLE AS $$
    WITH RECURSIVE
    waiting (type, model_id, principal) AS (
        SELECT lanes.type, of_lane.model_id, (
            SELECT min(jobs.principal) FROM jobs
            WHERE jobs.state = 'pending' AND jobs.waits_for = '[]' AND jobs.priority = wanted AND jobs.type = lanes.type
                AND jobs.model_id = of_lane.model_id
                AND jobs.sequence <> ALL (taken) AND (within IS NULL OR jobs.model_id = ANY (within))
                AND (room IS NULL OR jobs.memory_bytes <= room)
        ) FROM unnest(types) AS lanes (type), unnest(models) AS of_lane (model_id)
        UNION ALL
        SELECT lanes.type, lanes.model_id, (
            SELECT min(jobs.principal) FROM jobs
            WHERE jobs.state = 'pending' AND jobs.waits_for = '[]' AND jobs.priority = wanted AND jobs.type = lanes.type
                AND jobs.model_id = lanes.model_id
                AND jobs.sequence <> ALL (taken) AND (within IS NULL OR jobs.model_id = ANY (within))
                AND (room IS NULL OR jobs.memory_bytes <= room) AND jobs.principal > lanes.principal
        ) FROM waiting AS lanes WHERE lanes.principal IS NOT NULL
    ),
    firsts (principal, sequence) AS (
        SELECT lanes.principal, (
            SELECT min(jobs.sequence) FROM jobs
            WHERE jobs.state = 'pending' AND jobs.waits_for = '[]' AND jobs.priority = wanted AND jobs.type = lanes.type
                AND jobs.model_id = lanes.model_id
                AND jobs.sequence <> ALL (taken) AND (within IS NULL OR jobs.model_id = ANY (within))
                AND (room IS NULL OR jobs.memory_bytes <= room) AND jobs.principal = lanes.principal
        ) FROM waiting AS lanes WHERE lanes.principal IS NOT NULL
    )
    SELECT * FROM jobs WHERE sequence = (
        SELECT sequence FROM firsts LEFT JOIN turns USING (principal) ORDER BY coalesce(served, 0), sequence LIMIT 1
    )
$$;

CREATE FUNCTION sdrest_take_turn(
    types text[], loaded text[], at_hand text[], fetches boolean, room bigint, besides text[], most_passed_over integer
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    wanted integer;
    first  jobs;
    chosen jobs;
    other  jobs;
    within text[];
    taken  bigint[] := ARRAY(SELECT sequence FROM jobs WHERE id = ANY (besides) AND state = 'pending');
BEGIN
    IF NOT fetches THEN
        within := at_hand;
    END IF;
    LOOP
        SELECT max((
            SELECT max(jobs.priority) FROM jobs
            WHERE jobs.state = 'pending' AND jobs.waits_for = '[]' AND jobs.type = lanes.type AND jobs.sequence <> ALL (taken)
                AND (within IS NULL OR jobs.model_id = ANY (within)) AND (room IS NULL OR jobs.memory_bytes <= room)
        )) INTO wanted FROM unnest(types) AS lanes (type);
        IF wanted IS NULL THEN
            RETURN NULL;
        END IF;
        SELECT * INTO first FROM sdrest_first(types, wanted, taken, within, room);
        CONTINUE WHEN first.sequence IS NULL;  -- the last one of that priority was cancelled meanwhile
        chosen := first;
        IF first.passed_over < most_passed_over THEN
            -- Upscalers are loaded beside the models: such a job drives no model out, so there is nothing to gain.
            IF cardinality(loaded) > 0 AND first.type <> 'upscale' AND first.model_id <> ALL (loaded) THEN
                SELECT * INTO other FROM sdrest_first_of_models(types, loaded, wanted, taken, within, room);
                IF other.sequence IS NOT NULL THEN
                    chosen := other;
                END IF;
            END IF;
            IF chosen.sequence = first.sequence AND cardinality(at_hand) > 0 AND first.model_id <> ALL (loaded || at_hand) THEN
                SELECT * INTO other FROM sdrest_first_of_models(types, at_hand, wanted, taken, within, room);
                IF other.sequence IS NOT NULL THEN
                    chosen := other;
                END IF;
            END IF;
        END IF;
        PERFORM FROM jobs WHERE sequence = chosen.sequence AND state = 'pending' AND waits_for = '[]' FOR UPDATE SKIP LOCKED;
        IF NOT FOUND THEN
            taken := taken || chosen.sequence;
            CONTINUE;
        END IF;
        IF chosen.sequence <> first.sequence THEN
            UPDATE jobs SET passed_over = passed_over + 1 WHERE sequence = (
                SELECT sequence FROM jobs WHERE sequence = first.sequence FOR UPDATE SKIP LOCKED
            );
        END IF;
        INSERT INTO turns SELECT chosen.principal, coalesce(max(served), 0) + 1 FROM turns
        ON CONFLICT (principal) DO UPDATE SET served = greatest(excluded.served, turns.served + 1);
        RETURN chosen.sequence;
    END LOOP;
END $$;
