-- The tables of version 1.

CREATE SCHEMA gatekit;

CREATE TABLE gatekit.meta (
    key text PRIMARY KEY,
    value text NOT NULL
);

-- `fillfactor`: the row is updated with every entry; room on its page keeps that off the indexes.
CREATE TABLE gatekit.target (
    no integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE,
    state text NOT NULL CHECK (state IN ('free', 'held', 'mutating', 'suspect')),
    fence bigint NOT NULL,
    run text,
    ticket bigint,
    claim text,
    actor text,
    process text,
    -- In milliseconds.
    lease bigint,
    lease_end timestamptz,
    head_seq bigint NOT NULL,
    head_hash text NOT NULL,
    -- The number of the target along with which it is locked, while that has this fence.
    along integer REFERENCES gatekit.target,
    along_fence bigint,
    CHECK ((state = 'free') = (run IS NULL)),
    CHECK ((state IN ('held', 'mutating')) = (lease_end IS NOT NULL)),
    CHECK (num_nulls(claim, actor, process, lease, lease_end) IN (0, 5)),
    CHECK ((along IS NULL) = (along_fence IS NULL)),
    CHECK (along IS NULL OR state = 'free')
) WITH (fillfactor = 25);
CREATE INDEX target_along ON gatekit.target (along, along_fence) WHERE along IS NOT NULL;

-- A ticket is one number in all the queues that a claim joins.
CREATE SEQUENCE gatekit.ticket;
CREATE TABLE gatekit.waiter (
    target integer NOT NULL REFERENCES gatekit.target,
    ticket bigint NOT NULL,
    -- The target of the claim, which has a place in each queue that it names.
    leader integer NOT NULL REFERENCES gatekit.target,
    run text NOT NULL,
    claim text NOT NULL,
    actor text NOT NULL,
    process text NOT NULL,
    heard timestamptz NOT NULL,
    PRIMARY KEY (target, ticket),
    UNIQUE (leader, run, target)
) WITH (fillfactor = 50);

CREATE TABLE gatekit.journal (
    target integer NOT NULL REFERENCES gatekit.target,
    seq bigint NOT NULL,
    run text NOT NULL,
    kind text NOT NULL,
    prev text NOT NULL,
    hash text NOT NULL,
    -- The exact string that was hashed.
    entry text NOT NULL,
    -- Of the call that wrote it, so that one whose answer was lost is not written twice.
    token text NOT NULL,
    PRIMARY KEY (target, seq)
);
CREATE UNIQUE INDEX journal_token ON gatekit.journal (token);
CREATE INDEX journal_run ON gatekit.journal (target, run, seq);
-- What is asked for by kind, of every run that there ever was: few entries of each.
CREATE INDEX journal_kind ON gatekit.journal (target, kind, seq)
    WHERE kind IN ('opened', 'closed', 'resumed', 'waiver');

CREATE FUNCTION gatekit.journal_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the journal is append-only';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON gatekit.journal
    FOR EACH STATEMENT EXECUTE FUNCTION gatekit.journal_is_append_only();

-- A fence that goes back would let an overtaken holder write.
CREATE FUNCTION gatekit.fence_never_goes_back() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a fence never goes back';
END $$;
CREATE TRIGGER fence_grows BEFORE UPDATE OF fence ON gatekit.target
    FOR EACH ROW WHEN (new.fence < old.fence) EXECUTE FUNCTION gatekit.fence_never_goes_back();

INSERT INTO gatekit.meta (key, value) VALUES ('ledger_id', gen_random_uuid()::text);
