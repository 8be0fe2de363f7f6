-- Whose job is next, as sdrest/storage/sql/turns.py says it, in one call: several servers may ask at the same time. The job that is
-- chosen is locked, and one that somebody else has locked is passed over, so nobody waits for anybody. What is chosen at the very same
-- moment does not count yet for whose turn it is.
CREATE FUNCTION sdrest_first(types text[], wanted integer, taken bigint[]) RETURNS SETOF jobs LANGUAGE sql STABLE AS $$
    WITH RECURSIVE
    waiting (type, principal) AS (
        SELECT lanes.type, (
            SELECT min(jobs.principal) FROM jobs
            WHERE jobs.state = 'pending' AND jobs.waits_for = '[]' AND jobs.priority = wanted AND jobs.type = lanes.type
                AND jobs.sequence <> ALL (taken)
        ) FROM unnest(types) AS lanes (type)
        UNION ALL
        SELECT lanes.type, (
            SELECT min(jobs.principal) FROM jobs
            WHERE jobs.state = 'pending' AND jobs.waits_for = '[]' AND jobs.priority = wanted AND jobs.type = lanes.type
                AND jobs.sequence <> ALL (taken) AND jobs.principal > lanes.principal
        ) FROM waiting AS lanes WHERE lanes.principal IS NOT NULL
    ),
    firsts (principal, sequence) AS (
        SELECT lanes.principal, (
            SELECT min(jobs.sequence) FROM jobs
            WHERE jobs.state = 'pending' AND jobs.waits_for = '[]' AND jobs.priority = wanted AND jobs.type = lanes.type
                AND jobs.sequence <> ALL (taken) AND jobs.principal = lanes.principal
        ) FROM waiting AS lanes WHERE lanes.principal IS NOT NULL
    )
    SELECT * FROM jobs WHERE sequence = (
        SELECT sequence FROM firsts LEFT JOIN turns USING (principal) ORDER BY coalesce(served, 0), sequence LIMIT 1
    )
$$;

CREATE FUNCTION sdrest_first_of_models(types text[], models text[], wanted integer, taken bigint[]) RETURNS SETOF jobs
LANGUAGE sql STABLE AS $$
    WITH RECURSIVE
    waiting (type, model_id, principal) AS (
        SELECT lanes.type, of_lane.model_id, (
            SELECT min(jobs.principal) FROM jobs
            WHERE jobs.state = 'pending' AND jobs.waits_for = '[]' AND jobs.priority = wanted AND jobs.type = lanes.type
                AND jobs.model_id = of_lane.model_id AND jobs.sequence <> ALL (taken)
        ) FROM unnest(types) AS lanes (type), unnest(models) AS of_lane (model_id)
        UNION ALL
        SELECT lanes.type, lanes.model_id, (
            SELECT min(jobs.principal) FROM jobs
            WHERE jobs.state = 'pending' AND jobs.waits_for = '[]' AND jobs.priority = wanted AND jobs.type = lanes.type
                AND jobs.model_id = lanes.model_id AND jobs.sequence <> ALL (taken) AND jobs.principal > lanes.principal
        ) FROM waiting AS lanes WHERE lanes.principal IS NOT NULL
    ),
    firsts (principal, sequence) AS (
        SELECT lanes.principal, (
            SELECT min(jobs.sequence) FROM jobs
            WHERE jobs.state = 'pending' AND jobs.waits_for = '[]' AND jobs.priority = wanted AND jobs.type = lanes.type
                AND jobs.model_id = lanes.model_id AND jobs.sequence <> ALL (taken) AND jobs.principal = lanes.principal
        ) FROM waiting AS lanes WHERE lanes.principal IS NOT NULL
    )
    SELECT * FROM jobs WHERE sequence = (
        SELECT sequence FROM firsts LEFT JOIN turns USING (principal) ORDER BY coalesce(served, 0), sequence LIMIT 1
    )
$$;

CREATE FUNCTION sdrest_take_turn(types text[], loaded text[], most_passed_over integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    wanted integer;
    first  jobs;
    chosen jobs;
    other  jobs;
    taken  bigint[] := '{}';
BEGIN
    LOOP
        SELECT max((
            SELECT max(jobs.priority) FROM jobs
            WHERE jobs.state = 'pending' AND jobs.waits_for = '[]' AND jobs.type = lanes.type AND jobs.sequence <> ALL (taken)
        )) INTO wanted FROM unnest(types) AS lanes (type);
        IF wanted IS NULL THEN
            RETURN NULL;
        END IF;
        SELECT * INTO first FROM sdrest_first(types, wanted, taken);
        CONTINUE WHEN first.sequence IS NULL;  -- the last one of that priority was cancelled meanwhile
        chosen := first;
        -- Upscalers are loaded beside the models: such a job drives no model out, so there is nothing to gain.
        IF cardinality(loaded) > 0 AND first.type <> 'upscale' AND first.model_id <> ALL (loaded)
            AND first.passed_over < most_passed_over
        THEN
            SELECT * INTO other FROM sdrest_first_of_models(types, loaded, wanted, taken);
            IF other.sequence IS NOT NULL THEN
                chosen := other;
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
