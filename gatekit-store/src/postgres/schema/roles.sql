-- Least privilege: run it once in the ledger's database, as a superuser, or as the owner of the schema
-- where it has CREATEROLE, and again after an upgrade of gatekit. Then `GRANT gatekit_runner TO
-- deploy_bot; GRANT gatekit_approver TO anna; GRANT gatekit_reader TO board;`.

-- The reader looks: `status`, `log`, `plan`. The approver says a word as well: `approve`, `reject`,
-- `waive`. The runner runs releases: every other verb.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['gatekit_reader', 'gatekit_approver', 'gatekit_runner'] LOOP
        IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = name) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', name);
        END IF;
    END LOOP;
END $$;
GRANT gatekit_reader TO gatekit_approver;
GRANT gatekit_approver TO gatekit_runner;

GRANT USAGE ON SCHEMA gatekit TO gatekit_reader;
GRANT SELECT ON gatekit.meta, gatekit.target, gatekit.waiter, gatekit.journal TO gatekit_reader;
GRANT EXECUTE ON FUNCTION gatekit.state_of, gatekit.sights TO gatekit_reader;

GRANT EXECUTE ON FUNCTION gatekit.append_word TO gatekit_approver;

GRANT EXECUTE ON FUNCTION
    gatekit.enqueue, gatekit.acquire, gatekit.leave, gatekit.renew, gatekit.release,
    gatekit.append, gatekit.take_over, gatekit.bury_holder, gatekit.bury_waiter, gatekit.beat
    TO gatekit_runner;
