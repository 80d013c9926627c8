//! Databases that explorations lend to one path after the other: to make one takes longer than to walk a path.

use std::sync::mpsc;
use std::sync::{Arc, LazyLock, Mutex};

use tokio::runtime::Runtime;
use tokio_postgres::Client;

use super::world::{World, lives};

/// What looks at them is outside of the path's processes, and outlives these.
static OUTSIDE: LazyLock<Runtime> = LazyLock::new(lives);

static FREE: Mutex<Vec<Place>> = Mutex::new(Vec::new());

/// Whoever a path has left at work is ended first.
const EMPTY: &str = "
    SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid();
    DROP SCHEMA IF EXISTS public, seen, supabase_migrations CASCADE;
    CREATE SCHEMA public;
    CREATE SCHEMA seen;
    CREATE SCHEMA supabase_migrations;
    CREATE TABLE supabase_migrations.schema_migrations
        (version text PRIMARY KEY, statements text[], name text);";

/// Each transaction that writes rows of the history is noted in itself: a permit is for all of it.
const SEEN: &str = "
    CREATE TABLE seen.writes (number serial, what text, of xid8 UNIQUE);
    CREATE FUNCTION seen.write() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO seen.writes (what, of)
        VALUES (tg_op || ' ' || coalesce(new.name, old.name), pg_current_xact_id())
        ON CONFLICT DO NOTHING;
        RETURN NULL; END $$;
    CREATE TRIGGER seen AFTER INSERT OR UPDATE OR DELETE ON supabase_migrations.schema_migrations
        FOR EACH ROW EXECUTE FUNCTION seen.write();";

#[derive(Debug, Clone)]
struct Place {
    world: Arc<World>,
    client: Arc<Client>,
}

/// A database of a path, and a connection to it that is not the path's.
#[derive(Debug)]
pub(crate) struct Lent(Place);

impl Lent {
    /// One in which there is nothing but the table of the history, and what `setup` makes.
    pub(crate) fn new(setup: &str) -> Self {
        let free = FREE.lock().unwrap().pop();
        let place = free.unwrap_or_else(|| {
            let world = Arc::new(World::new());
            let of = Arc::clone(&world);
            let client = Arc::new(wait(async move { of.client().await }));
            Place { world, client }
        });
        let (client, sql) = (Arc::clone(&place.client), format!("{EMPTY} {setup}; {SEEN}"));
        wait(async move { client.batch_execute(&sql).await.unwrap() });
        Self(place)
    }

    pub(crate) fn world(&self) -> &World {
        &self.0.world
    }

    /// The first column of the rows.
    pub(crate) fn texts(&self, sql: &str) -> Vec<String> {
        let (client, sql) = (Arc::clone(&self.0.client), sql.to_owned());
        let rows = wait(async move { client.query(&sql, &[]).await.unwrap() });
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// What was written to the history, without the first `from`.
    pub(crate) fn writes(&self, from: usize) -> Vec<String> {
        self.texts(&format!("SELECT what FROM seen.writes ORDER BY number OFFSET {from}"))
    }

    /// The names in the history, by version.
    pub(crate) fn names(&self) -> Vec<String> {
        self.texts("SELECT name FROM supabase_migrations.schema_migrations ORDER BY version")
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        FREE.lock().unwrap().push(self.0.clone());
    }
}

/// Waits outside of any runtime: the explorer asks within one, and without.
fn wait<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    let (tell, told) = mpsc::channel();
    OUTSIDE.spawn(async move { tell.send(work.await).ok() });
    told.recv().unwrap()
}
