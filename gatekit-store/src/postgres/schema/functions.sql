-- What may be done to the tables of version 1. Each call is one statement, hence one transaction.
--
-- A refusal is raised, so that nothing of the call has happened: SQLSTATE GK001, the message names
-- it, the detail is how the lock stands. GK002: the tables are of another version than the caller's.
-- GK003: the fence was not the expected one.
--
-- Statements are planned once a session, and by indexes: the planner would think anew at every call,
-- for longer than the call takes. Nor does it keep the plans of functions in SQL that are not inlined.
-- A statement whose client has given up does not wait for a lock for ever.

-- The one clock: of the server, and of the moment, not of the transaction, which may have waited.
CREATE FUNCTION gatekit.clock() RETURNS timestamptz LANGUAGE sql VOLATILE AS
    'SELECT clock_timestamp()';

-- How long a waiter that has stopped asking keeps its turn.
CREATE FUNCTION gatekit.waiter_ttl() RETURNS interval LANGUAGE sql IMMUTABLE AS
    'SELECT interval ''15 s''';

-- Whether a waiter that asked then still has its turn: not for as long as the clock was set back.
CREATE FUNCTION gatekit.is_heard(heard timestamptz, moment timestamptz) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT heard > moment - gatekit.waiter_ttl() AND heard < moment + gatekit.waiter_ttl()
$$;

CREATE FUNCTION gatekit.check_version(theirs integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF theirs <> 1 THEN
        RAISE EXCEPTION USING ERRCODE = 'GK002', MESSAGE = 'another version of the tables',
            DETAIL = '1';
    END IF;
END $$;

-- Whatever the database's setting, a commit is on disk when it is answered.
CREATE FUNCTION gatekit.durably() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
END $$;

CREATE FUNCTION gatekit.is_tenure(state text) RETURNS boolean LANGUAGE sql IMMUTABLE AS
    'SELECT state IN (''held'', ''mutating'')';

-- Whether the target's history is on its way from another ledger: nobody can have left a target
-- suspect that has no entry.
CREATE FUNCTION gatekit.is_arriving(own gatekit.target) RETURNS boolean LANGUAGE sql IMMUTABLE AS
    'SELECT own.state = ''suspect'' AND own.head_seq = 0';

-- What is left of a lease; never more than all of it, should the clock have been set back.
CREATE FUNCTION gatekit.lease_left(lock gatekit.target, moment timestamptz) RETURNS interval
LANGUAGE sql IMMUTABLE AS $$
    SELECT greatest(least((lock).lease_end - moment, (lock).lease * interval '1 ms'), interval '0')
$$;

-- The lock without its holder, who gave up, lapsed or died.
CREATE FUNCTION gatekit.given_up(lock gatekit.target) RETURNS gatekit.target
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF lock.state = 'held' THEN
        lock.state := 'free';
        lock.run := NULL;
    ELSIF lock.state = 'mutating' THEN
        lock.state := 'suspect';
    END IF;
    lock.ticket := NULL;
    lock.claim := NULL;
    lock.actor := NULL;
    lock.process := NULL;
    lock.lease := NULL;
    lock.lease_end := NULL;
    RETURN lock;
END $$;

-- The lock as it is at that moment: without a holder whose lease has lapsed, and with no lease that
-- ends later than one that begins now, because the clock was set back.
CREATE FUNCTION gatekit.at_moment(lock gatekit.target, moment timestamptz) RETURNS gatekit.target
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF NOT gatekit.is_tenure(lock.state) THEN
        RETURN lock;
    ELSIF gatekit.lease_left(lock, moment) <= interval '0' THEN
        RETURN gatekit.given_up(lock);
    END IF;
    lock.lease_end := least(lock.lease_end, moment + lock.lease * interval '1 ms');
    RETURN lock;
END $$;

CREATE FUNCTION gatekit.save(lock gatekit.target) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE gatekit.target SET
        state = lock.state, fence = lock.fence, run = lock.run, ticket = lock.ticket,
        claim = lock.claim, actor = lock.actor, process = lock.process,
        lease = lock.lease, lease_end = lock.lease_end,
        head_seq = lock.head_seq, head_hash = lock.head_hash,
        along = lock.along, along_fence = lock.along_fence
    WHERE no = lock.no;
END $$;

-- Locks the rows of those targets, made where they are missing, of those along with which they are
-- locked, and (`led`) of those that are locked along with them: always in the same order, so that no
-- two calls wait for each other.
CREATE FUNCTION gatekit.lock_rows(names text[], led boolean DEFAULT false) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    known integer;
    wanted integer[];
    locked integer[];
BEGIN
    LOOP
        WITH own AS (SELECT * FROM gatekit.target WHERE name = ANY (names))
        SELECT (SELECT count(*) FROM own), array_agg(no) INTO known, wanted FROM (
            SELECT no FROM own
            UNION SELECT leader.no FROM own JOIN gatekit.target leader
                ON leader.no = own.along AND leader.fence = own.along_fence
            UNION SELECT follower.no FROM own JOIN gatekit.target follower
                ON led AND follower.along = own.no AND follower.along_fence = own.fence
        ) involved;
        IF known < cardinality(names)
            AND known < (SELECT count(DISTINCT name) FROM unnest(names) name) THEN
            INSERT INTO gatekit.target (name, state, fence, head_seq, head_hash)
                SELECT DISTINCT name, 'free', 0, 0, repeat('0', 64) FROM unnest(names) name
                ORDER BY name
                ON CONFLICT DO NOTHING;
            CONTINUE;
        END IF;
        EXIT WHEN wanted <@ locked;
        IF locked IS NOT NULL THEN
            -- Others came in between, and to lock the rest now would be out of order.
            RAISE EXCEPTION 'the locks have changed' USING ERRCODE = 'serialization_failure';
        END IF;
        PERFORM 1 FROM gatekit.target WHERE no = ANY (wanted) ORDER BY no FOR UPDATE;
        locked := wanted;
    END LOOP;
END $$;

CREATE FUNCTION gatekit.row_of(target_name text) RETURNS gatekit.target
LANGUAGE plpgsql STABLE AS $$
DECLARE
    own gatekit.target;
BEGIN
    SELECT * INTO own FROM gatekit.target WHERE name = target_name;
    RETURN own;
END $$;

-- The lock of a target, whosoever's it is: its own, or that of the one along with which it is locked.
CREATE FUNCTION gatekit.lock_of(own gatekit.target) RETURNS gatekit.target
LANGUAGE plpgsql STABLE AS $$
DECLARE
    leader gatekit.target;
BEGIN
    IF own.along IS NOT NULL THEN
        SELECT * INTO leader FROM gatekit.target
            WHERE no = own.along AND fence = own.along_fence;
        IF FOUND THEN
            RETURN leader;
        END IF;
    END IF;
    RETURN own;
END $$;

CREATE FUNCTION gatekit.refuse(why text, own gatekit.target, lock gatekit.target,
    lease_left interval DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'GK001', MESSAGE = why, DETAIL = jsonb_build_object(
        'state', lock.state, 'fence', own.fence, 'run', lock.run, 'actor', lock.actor,
        'process', lock.process, 'leader', lock.name, 'leader_fence', lock.fence,
        'lease_left', extract(epoch FROM lease_left) * 1000)::text;
END $$;

-- What was locked along with a target.
CREATE FUNCTION gatekit.followers(lock gatekit.target, OUT names text[], OUT fences bigint[])
LANGUAGE plpgsql STABLE AS $$
BEGIN
    SELECT coalesce(array_agg(t.name ORDER BY t.name), '{}'),
        coalesce(array_agg(t.fence ORDER BY t.name), '{}')
        INTO names, fences
        FROM gatekit.target t WHERE t.along = lock.no AND t.along_fence = lock.fence;
END $$;

-- Notes that the claimant waits; gives the ticket of its place, if it has one in each of those queues
-- and in no other.
CREATE FUNCTION gatekit.heartbeat(leader_no integer, names text[], its_run text, its_actor text,
    its_process text, its_claim text, moment timestamptz) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    places integer;
    named integer;
    its_ticket bigint;
BEGIN
    WITH heard AS (
        UPDATE gatekit.waiter
        SET actor = its_actor, process = its_process, claim = its_claim, heard = moment
        WHERE leader = leader_no AND run = its_run
        RETURNING target, ticket
    )
    SELECT count(*), count(*) FILTER (WHERE t.name = ANY (names)), min(heard.ticket)
        INTO places, named, its_ticket
        FROM heard JOIN gatekit.target t ON t.no = heard.target;
    IF places = cardinality(names) AND named = places THEN
        RETURN its_ticket;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION gatekit.enqueue(version integer, its_target text, also text[], its_run text,
    its_actor text, its_process text, its_claim text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
SET lock_timeout = '3s' AS $$
DECLARE
    names text[] := its_target || also;
    own gatekit.target;
    its_ticket bigint;
    moment timestamptz;
BEGIN
    PERFORM gatekit.check_version(version);
    PERFORM gatekit.durably();
    PERFORM gatekit.lock_rows(names);
    moment := gatekit.clock();
    own := gatekit.row_of(its_target);
    -- A claim that holds the target has used its ticket up; a second one would stay behind.
    IF gatekit.is_tenure(own.state) AND own.run = its_run AND own.claim = its_claim
        AND own.ticket IS NOT NULL THEN
        RETURN own.ticket;
    END IF;
    its_ticket := gatekit.heartbeat(own.no, names, its_run, its_actor, its_process, its_claim,
        moment);
    IF its_ticket IS NOT NULL THEN
        RETURN its_ticket;
    END IF;
    DELETE FROM gatekit.waiter WHERE leader = own.no AND run = its_run;
    -- Drawn under the locks of all its queues: any two claims stand in the same order in each.
    its_ticket := nextval('gatekit.ticket');
    INSERT INTO gatekit.waiter (target, ticket, leader, run, claim, actor, process, heard)
        SELECT no, its_ticket, own.no, its_run, its_claim, its_actor, its_process, moment
        FROM gatekit.target WHERE name = ANY (names);
    RETURN its_ticket;
END $$;

CREATE FUNCTION gatekit.acquire(version integer, its_target text, also text[], its_run text,
    its_actor text, its_process text, its_claim text, its_lease bigint,
    -- 'granted', 'waiting' or 'suspect'.
    OUT answer text,
    -- Of the grant; of the suspect target.
    OUT granted_fence bigint, OUT kept_lease bigint,
    OUT along_names text[], OUT along_fences bigint[],
    -- Its own place in its queues.
    OUT ticket bigint, OUT ahead bigint,
    -- Who holds it or left it suspect, and where.
    OUT held_target text, OUT held_fence bigint, OUT held_run text, OUT held_actor text,
    OUT held_process text,
    -- The first in the queues that it is not the first of.
    OUT first_targets text[], OUT first_tickets bigint[], OUT first_processes text[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
SET lock_timeout = '3s' AS $$
DECLARE
    names text[] := its_target || also;
    own gatekit.target;
    before gatekit.target;
    lock gatekit.target;
    held gatekit.target;
    suspect gatekit.target;
    moment timestamptz;
    is_free boolean := true;
    touched boolean := false;
BEGIN
    PERFORM gatekit.check_version(version);
    PERFORM gatekit.lock_rows(names);
    moment := gatekit.clock();
    own := gatekit.row_of(its_target);
    IF gatekit.is_tenure(own.state) AND own.run = its_run AND own.claim = its_claim THEN
        PERFORM gatekit.durably();
        UPDATE gatekit.target SET lease_end = moment + own.lease * interval '1 ms'
            WHERE no = own.no;
        answer := 'granted';
        granted_fence := own.fence;
        kept_lease := own.lease;
        SELECT f.names, f.fences INTO along_names, along_fences FROM gatekit.followers(own) f;
        RETURN;
    END IF;
    FOR before IN
        SELECT l.* FROM unnest(names) WITH ORDINALITY AS named (name, place)
        JOIN gatekit.target t ON t.name = named.name
        CROSS JOIN LATERAL gatekit.lock_of(t) l
        ORDER BY named.place
    LOOP
        lock := gatekit.at_moment(before, moment);
        IF gatekit.is_arriving(lock) THEN
            PERFORM gatekit.refuse('arriving', lock, lock);
        ELSIF lock IS DISTINCT FROM before THEN
            PERFORM gatekit.save(lock);
            touched := true;
        END IF;
        is_free := is_free AND lock.state = 'free';
        IF held.no IS NULL AND gatekit.is_tenure(lock.state) THEN
            held := lock;
        ELSIF suspect.no IS NULL AND lock.state = 'suspect' THEN
            suspect := lock;
        END IF;
    END LOOP;
    ticket := gatekit.heartbeat(own.no, names, its_run, its_actor, its_process, its_claim,
        moment);
    IF ticket IS NULL THEN
        own := gatekit.row_of(its_target);
        PERFORM gatekit.refuse('no_ticket', own, gatekit.lock_of(own));
    END IF;
    SELECT max(line.length), array_agg(t.name) FILTER (WHERE line.length > 0),
        array_agg(line.first_ticket) FILTER (WHERE line.length > 0),
        array_agg(line.first_process) FILTER (WHERE line.length > 0)
        INTO ahead, first_targets, first_tickets, first_processes
        FROM gatekit.target t CROSS JOIN LATERAL (
            SELECT count(*) AS length, min(w.ticket) AS first_ticket,
                (array_agg(w.process ORDER BY w.ticket))[1] AS first_process
            FROM gatekit.waiter w
            WHERE w.target = t.no AND w.ticket < acquire.ticket
                AND gatekit.is_heard(w.heard, moment)
        ) line
        WHERE t.name = ANY (names);
    IF ahead = 0 AND is_free THEN
        PERFORM gatekit.durably();
        answer := 'granted';
        kept_lease := its_lease;
        UPDATE gatekit.target t SET state = 'held', fence = t.fence + 1, run = its_run,
                ticket = acquire.ticket, claim = its_claim, actor = its_actor, process = its_process,
                lease = its_lease, lease_end = moment + its_lease * interval '1 ms',
                along = NULL, along_fence = NULL
            WHERE no = own.no RETURNING t.fence INTO granted_fence;
        SELECT f.names, f.fences INTO along_names, along_fences
            FROM gatekit.follow(own.no, granted_fence, also) f;
        DELETE FROM gatekit.waiter WHERE leader = own.no AND run = its_run;
        RETURN;
    END IF;
    IF touched THEN
        PERFORM gatekit.durably();
    ELSE
        -- That it waits is of no use after a crash: it need not wait for the disk.
        PERFORM set_config('synchronous_commit', 'off', true);
    END IF;
    IF suspect.no IS NOT NULL THEN
        answer := 'suspect';
        lock := suspect;
    ELSE
        answer := 'waiting';
        lock := held;
    END IF;
    held_target := lock.name;
    held_fence := lock.fence;
    held_run := lock.run;
    held_actor := lock.actor;
    held_process := lock.process;
END $$;

-- Locks those targets along with a leading one, each under a new fence of its own.
CREATE FUNCTION gatekit.follow(leader_no integer, leader_fence bigint, also text[],
    OUT names text[], OUT fences bigint[]) LANGUAGE plpgsql AS $$
BEGIN
    WITH follower AS (
        UPDATE gatekit.target t SET state = 'free', fence = t.fence + 1, run = NULL,
            ticket = NULL, claim = NULL, actor = NULL, process = NULL, lease = NULL,
            lease_end = NULL, along = leader_no, along_fence = leader_fence
        WHERE t.name = ANY (also)
        RETURNING t.name, t.fence
    )
    SELECT coalesce(array_agg(f.name ORDER BY f.name), '{}'),
        coalesce(array_agg(f.fence ORDER BY f.name), '{}')
        INTO names, fences
        FROM follower f;
END $$;

CREATE FUNCTION gatekit.leave(version integer, its_target text, its_run text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
SET lock_timeout = '3s' AS $$
BEGIN
    PERFORM gatekit.check_version(version);
    PERFORM gatekit.durably();
    DELETE FROM gatekit.waiter w USING gatekit.target t
        WHERE t.name = its_target AND w.leader = t.no AND w.run = its_run;
END $$;

CREATE FUNCTION gatekit.renew(version integer, its_target text, its_run text, its_fence bigint,
    its_lease bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
SET lock_timeout = '3s' AS $$
DECLARE
    own gatekit.target;
BEGIN
    PERFORM gatekit.check_version(version);
    PERFORM gatekit.durably();
    PERFORM gatekit.lock_rows(ARRAY[its_target]);
    UPDATE gatekit.target
        SET lease = its_lease, lease_end = gatekit.clock() + its_lease * interval '1 ms'
        WHERE name = its_target AND run = its_run AND fence = its_fence
            AND gatekit.is_tenure(state);
    IF NOT FOUND THEN
        own := gatekit.row_of(its_target);
        PERFORM gatekit.refuse('lost', own, gatekit.lock_of(own));
    END IF;
END $$;

-- `repeated`: the answer to the first call was lost, so that it may have been this very release that
-- freed the target.
CREATE FUNCTION gatekit.release(version integer, its_target text, its_run text, its_fence bigint,
    repeated boolean) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
SET lock_timeout = '3s' AS $$
DECLARE
    own gatekit.target;
BEGIN
    PERFORM gatekit.check_version(version);
    PERFORM gatekit.durably();
    PERFORM gatekit.lock_rows(ARRAY[its_target]);
    own := gatekit.row_of(its_target);
    IF NOT gatekit.is_tenure(own.state) OR own.run <> its_run OR own.fence <> its_fence THEN
        RETURN repeated AND own.state = 'free' AND own.fence = its_fence;
    END IF;
    IF own.state = 'mutating' THEN
        PERFORM gatekit.refuse('mutating', own, own);
    END IF;
    PERFORM gatekit.save(gatekit.given_up(own));
    RETURN true;
END $$;

-- Writes the next record of a chain. The caller has locked the row of the target.
CREATE FUNCTION gatekit.insert_entry(own_no integer, its_run text, its_kind text, its_entry text,
    its_token text, OUT new_seq bigint, OUT new_prev text, OUT new_hash text)
LANGUAGE plpgsql AS $$
DECLARE
    own gatekit.target;
BEGIN
    SELECT * INTO own FROM gatekit.target WHERE no = own_no;
    IF gatekit.is_arriving(own) THEN
        PERFORM gatekit.refuse('arriving', own, own);
    END IF;
    new_seq := own.head_seq + 1;
    new_prev := own.head_hash;
    new_hash := encode(sha256(convert_to(new_prev || its_entry, 'UTF8')), 'hex');
    INSERT INTO gatekit.journal (target, seq, run, kind, prev, hash, entry, token)
        VALUES (own_no, new_seq, its_run, its_kind, new_prev, new_hash, its_entry, its_token);
    UPDATE gatekit.target SET head_seq = new_seq, head_hash = new_hash WHERE no = own_no;
END $$;

-- Appends an entry. `its_fence` is that of the holder's guard, NULL for an open one; `effect` is what
-- the entry does to the lock; `fits`, whether it names the guard's run and fence.
CREATE FUNCTION gatekit.append(version integer, its_token text, its_target text, its_run text,
    its_kind text, its_entry text, its_fence bigint, needed_lease bigint, fits boolean, effect text,
    ends_run boolean, OUT new_seq bigint, OUT new_prev text, OUT new_hash text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
SET lock_timeout = '3s' AS $$
DECLARE
    own gatekit.target;
    before gatekit.target;
    lock gatekit.target;
    moment timestamptz;
    lease_left interval;
BEGIN
    PERFORM gatekit.check_version(version);
    PERFORM gatekit.durably();
    PERFORM gatekit.lock_rows(ARRAY[its_target]);
    moment := gatekit.clock();
    own := gatekit.row_of(its_target);
    SELECT seq, prev, hash INTO new_seq, new_prev, new_hash
        FROM gatekit.journal WHERE token = its_token AND target = own.no;
    IF FOUND THEN
        RETURN;
    END IF;
    before := gatekit.lock_of(own);
    lock := before;
    IF its_fence IS NULL THEN
        lock := gatekit.at_moment(lock, moment);
        IF ends_run AND lock.run = its_run THEN
            own := gatekit.row_of(its_target);
            PERFORM gatekit.refuse('goes_on', own, lock);
        END IF;
    ELSE
        -- The holder's own lapse is nobody's business until somebody has recorded it.
        IF NOT gatekit.is_tenure(lock.state) OR lock.run <> its_run OR own.fence <> its_fence THEN
            PERFORM gatekit.refuse('lost', own, lock);
        END IF;
        lease_left := gatekit.lease_left(lock, moment);
        IF lease_left < needed_lease * interval '1 ms' THEN
            PERFORM gatekit.refuse('lease_short', own, lock, lease_left);
        END IF;
        IF NOT fits THEN
            PERFORM gatekit.refuse('misguarded', own, lock);
        END IF;
        IF effect <> 'none' AND lock.no <> own.no THEN
            PERFORM gatekit.refuse('not_leading', own, lock);
        END IF;
        IF effect = 'touch' THEN
            lock.state := 'mutating';
        ELSIF effect = 'give_up' THEN
            lock := gatekit.given_up(lock);
        ELSIF effect = 'free' THEN
            lock := gatekit.given_up(lock);
            lock.state := 'free';
            lock.run := NULL;
        END IF;
    END IF;
    IF lock.state <> before.state THEN
        PERFORM gatekit.save(lock);
    END IF;
    SELECT i.new_seq, i.new_prev, i.new_hash INTO new_seq, new_prev, new_hash
        FROM gatekit.insert_entry(own.no, its_run, its_kind, its_entry, its_token) i;
END $$;

CREATE FUNCTION gatekit.is_name(name text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT length(name) <= 200 AND name ~ '^[A-Za-z0-9_.:-]+(/[A-Za-z0-9_.:-]+)*$'
        AND name !~ '(^|/)[.][.]?(/|$)'
$$;

CREATE FUNCTION gatekit.is_moment(moment text) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN moment ~ '^\d{4}-\d\d-\d\dT([01]\d|2[0-3]):[0-5]\d:[0-5]\d([.]\d{1,9})?Z$'
        AND moment::timestamptz IS NOT NULL;
EXCEPTION WHEN data_exception THEN
    RETURN false;
END $$;

CREATE FUNCTION gatekit.keys(entry json) RETURNS text LANGUAGE sql IMMUTABLE AS
    'SELECT string_agg(key, '' '' ORDER BY key) FROM json_object_keys(entry) key';

-- Whether an entry is a word or a waiver that every build can read: nobody could ever take it out of
-- the chain again.
CREATE FUNCTION gatekit.is_word(its_target text, its_run text, its_kind text, entry json)
RETURNS boolean LANGUAGE plpgsql STABLE AS $$
DECLARE
    body json;
BEGIN
    body := entry -> 'body';
    -- What is missing or null makes nothing true.
    RETURN (
        gatekit.keys(entry) = 'actor at body fence run target v'
        AND json_typeof(entry -> 'v') = 'number' AND entry ->> 'v' = '1'
        AND json_typeof(entry -> 'fence') = 'null' AND json_typeof(entry -> 'actor') = 'string'
        AND entry ->> 'target' = its_target AND entry ->> 'run' = its_run
        AND its_run ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
        AND gatekit.is_moment(entry ->> 'at')
        AND NOT EXISTS (SELECT 1 FROM json_each(body) WHERE json_typeof(value) <> 'string')
        AND body ->> 'kind' = its_kind AND gatekit.is_name(body ->> 'stage')
        AND body ->> 'intent' ~ '^[0-9a-f]{64}$'
        AND CASE its_kind
            WHEN 'approval' THEN gatekit.keys(body) = 'comment intent kind scope stage word'
                AND body ->> 'scope' ~ '^[0-9a-f]{64}$' AND body ->> 'word' IN ('approve', 'reject')
            WHEN 'waiver' THEN gatekit.keys(body) = 'intent kind reason stage until'
                AND gatekit.is_moment(body ->> 'until')
            ELSE false
        END
    ) IS TRUE;
EXCEPTION WHEN data_exception THEN
    RETURN false;
END $$;

-- What a person may append who does not run releases: a word, or a waiver, on a target that there is.
CREATE FUNCTION gatekit.append_word(version integer, its_token text, its_target text, its_run text,
    its_kind text, its_entry text, OUT new_seq bigint, OUT new_prev text, OUT new_hash text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
SET lock_timeout = '3s' AS $$
BEGIN
    IF gatekit.is_word(its_target, its_run, its_kind, its_entry::json) IS NOT TRUE
        OR NOT EXISTS (SELECT 1 FROM gatekit.target WHERE name = its_target) THEN
        RAISE EXCEPTION 'an entry that is no word of a person' USING ERRCODE = '42501';
    END IF;
    SELECT a.new_seq, a.new_prev, a.new_hash INTO new_seq, new_prev, new_hash
        FROM gatekit.append(version, its_token, its_target, its_run, its_kind, its_entry, NULL, 0,
            true, 'none', false) a;
END $$;

-- Takes a suspect target over. `its_entry` is written for the fence after `expected_fence`.
CREATE FUNCTION gatekit.take_over(version integer, its_token text, its_target text, its_run text,
    its_actor text, its_process text, its_claim text, its_lease bigint, expected_fence bigint,
    its_kind text, its_entry text, OUT granted_fence bigint, OUT kept_lease bigint,
    OUT along_names text[], OUT along_fences bigint[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
SET lock_timeout = '3s' AS $$
DECLARE
    own gatekit.target;
    lock gatekit.target;
    moment timestamptz;
BEGIN
    PERFORM gatekit.check_version(version);
    PERFORM gatekit.durably();
    PERFORM gatekit.lock_rows(ARRAY[its_target], true);
    moment := gatekit.clock();
    own := gatekit.row_of(its_target);
    IF gatekit.is_tenure(own.state) AND own.run = its_run AND own.claim = its_claim
        AND own.ticket IS NULL THEN
        UPDATE gatekit.target SET lease_end = moment + own.lease * interval '1 ms'
            WHERE no = own.no;
        granted_fence := own.fence;
        kept_lease := own.lease;
        SELECT f.names, f.fences INTO along_names, along_fences FROM gatekit.followers(own) f;
        RETURN;
    END IF;
    lock := gatekit.at_moment(gatekit.lock_of(own), moment);
    IF lock.state = 'suspect' AND lock.no <> own.no THEN
        PERFORM gatekit.refuse('led_by', own, lock);
    ELSIF gatekit.is_tenure(lock.state) THEN
        PERFORM gatekit.refuse('held', own, lock);
    ELSIF lock.state <> 'suspect' OR lock.run <> its_run THEN
        PERFORM gatekit.refuse('not_suspect', own, lock);
    ELSIF gatekit.is_arriving(own) THEN
        PERFORM gatekit.refuse('arriving', own, own);
    END IF;
    IF own.fence <> expected_fence THEN
        RAISE EXCEPTION USING ERRCODE = 'GK003', MESSAGE = 'the fence is another one',
            DETAIL = own.fence::text;
    END IF;
    SELECT f.names INTO along_names FROM gatekit.followers(own) f;
    kept_lease := its_lease;
    UPDATE gatekit.target t SET state = 'mutating', fence = t.fence + 1, run = its_run,
            ticket = NULL, claim = its_claim, actor = its_actor, process = its_process,
            lease = its_lease, lease_end = moment + its_lease * interval '1 ms',
            along = NULL, along_fence = NULL
        WHERE no = own.no RETURNING t.fence INTO granted_fence;
    PERFORM gatekit.insert_entry(own.no, its_run, its_kind, its_entry, its_token);
    DELETE FROM gatekit.waiter WHERE leader = own.no AND run = its_run;
    SELECT f.names, f.fences INTO along_names, along_fences
        FROM gatekit.follow(own.no, granted_fence, along_names) f;
END $$;

-- Records that a holder is gone. The caller has proven that its process, on the caller's machine, is
-- dead; fence and process tell that it is still the same holder.
CREATE FUNCTION gatekit.bury_holder(version integer, its_target text, its_fence bigint,
    its_process text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
SET lock_timeout = '3s' AS $$
DECLARE
    own gatekit.target;
BEGIN
    PERFORM gatekit.check_version(version);
    PERFORM gatekit.durably();
    PERFORM gatekit.lock_rows(ARRAY[its_target]);
    own := gatekit.row_of(its_target);
    IF own.fence = its_fence AND gatekit.is_tenure(own.state) AND own.process = its_process THEN
        PERFORM gatekit.save(gatekit.given_up(own));
    END IF;
END $$;

-- Passes over a waiter that has been proven dead, until it is heard of again.
CREATE FUNCTION gatekit.bury_waiter(version integer, its_target text, its_ticket bigint,
    its_process text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
SET lock_timeout = '3s' AS $$
BEGIN
    PERFORM gatekit.check_version(version);
    PERFORM gatekit.lock_rows(ARRAY[its_target]);
    UPDATE gatekit.waiter w SET heard = '-infinity' FROM gatekit.target t
        WHERE t.name = its_target AND w.target = t.no AND w.ticket = its_ticket
            AND w.process = its_process;
END $$;

-- Notes that those claimants still wait, who need not ask by themselves then.
CREATE FUNCTION gatekit.beat(version integer, leaders text[], runs text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
SET lock_timeout = '3s' AS $$
BEGIN
    PERFORM gatekit.check_version(version);
    PERFORM set_config('synchronous_commit', 'off', true);
    UPDATE gatekit.waiter w SET heard = gatekit.clock()
        FROM unnest(leaders, runs) AS claimant (leader, run)
        JOIN gatekit.target t ON t.name = claimant.leader
        WHERE w.leader = t.no AND w.run = claimant.run;
END $$;

-- What those claimants see of their queues: how many are ahead, and whether nobody holds what they
-- wait for, so that there is an answer to be had. Asked again and again, hence without functions.
CREATE FUNCTION gatekit.sights(leaders text[], runs text[])
RETURNS TABLE (place bigint, ahead bigint, is_open boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
SET lock_timeout = '3s' AS $$
    WITH clock AS MATERIALIZED (SELECT gatekit.clock() AS moment)
    SELECT claimant.place, max(line.length),
        bool_and(lock.state = 'free' OR lock.state = 'held' AND lock.lease_end <= clock.moment)
        OR bool_or(lock.state = 'suspect'
            OR lock.state = 'mutating' AND lock.lease_end <= clock.moment)
    FROM clock
    CROSS JOIN unnest(leaders, runs) WITH ORDINALITY AS claimant (leader, run, place)
    JOIN gatekit.target t ON t.name = claimant.leader
    JOIN gatekit.waiter mine ON mine.leader = t.no AND mine.run = claimant.run
    JOIN gatekit.target own ON own.no = mine.target
    LEFT JOIN gatekit.target along ON along.no = own.along AND along.fence = own.along_fence
    CROSS JOIN LATERAL (
        SELECT coalesce(along.state, own.state) AS state,
            CASE WHEN along.no IS NULL THEN own.lease_end ELSE along.lease_end END AS lease_end
    ) lock
    CROSS JOIN LATERAL (
        SELECT count(*) AS length FROM gatekit.waiter w
        WHERE w.target = mine.target AND w.ticket < mine.ticket
            AND gatekit.is_heard(w.heard, clock.moment)
    ) line
    GROUP BY claimant.place
$$;

-- How a target stands, and who waits for it; nothing but NULLs while nobody has named it.
CREATE FUNCTION gatekit.state_of(its_target text, OUT state text, OUT fence bigint, OUT run text,
    OUT leader text, OUT actor text, OUT process text, OUT lease_left bigint,
    OUT head_seq bigint, OUT head_hash text, OUT tickets bigint[], OUT runs text[],
    OUT actors text[], OUT processes text[], OUT heard boolean[])
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
SET lock_timeout = '3s' AS $$
DECLARE
    own gatekit.target := gatekit.row_of(its_target);
    lock gatekit.target;
    moment timestamptz := gatekit.clock();
BEGIN
    IF own.no IS NULL THEN
        RETURN;
    END IF;
    lock := gatekit.at_moment(gatekit.lock_of(own), moment);
    state := lock.state;
    fence := own.fence;
    run := lock.run;
    leader := lock.name;
    actor := lock.actor;
    process := lock.process;
    lease_left := extract(epoch FROM gatekit.lease_left(lock, moment)) * 1000;
    head_seq := own.head_seq;
    head_hash := own.head_hash;
    SELECT array_agg(w.ticket ORDER BY w.ticket), array_agg(w.run ORDER BY w.ticket),
        array_agg(w.actor ORDER BY w.ticket), array_agg(w.process ORDER BY w.ticket),
        array_agg(gatekit.is_heard(w.heard, moment) ORDER BY w.ticket)
        INTO tickets, runs, actors, processes, heard
        FROM gatekit.waiter w WHERE w.target = own.no;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA gatekit FROM PUBLIC;
