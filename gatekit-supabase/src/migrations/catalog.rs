//! Whether objects exist, by the catalogs of the server.

use std::fmt;

use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use super::files::head::head;
use super::objects::{Created, Leaves, Object, leaves};

type Answer<T> = std::result::Result<T, tokio_postgres::Error>;

/// Whether an object is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum There {
    Yes,
    No,
    /// One of that name is, where the statement need not have made it.
    Unclear,
}

/// An object that was looked up. Shown for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LookedUp {
    pub(super) object: Created,
    pub(super) there: There,
}

/// What of some statements can be looked up.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) objects: Vec<LookedUp>,
    /// The first words of the statements that leave what cannot be.
    pub(super) others: Vec<String>,
}

impl Found {
    /// Whether every statement is proven: all leave one object, it is there, and none may have been there
    /// before in another shape.
    pub(super) fn is_proven(&self) -> bool {
        let is_proof = |it: &LookedUp| it.there == There::Yes && !it.object.replaces;
        self.is_told() && self.objects.iter().all(is_proof)
    }

    /// Whether nothing of it is there.
    pub(super) fn is_absent(&self) -> bool {
        self.is_told() && self.objects.iter().all(|it| it.there == There::No)
    }

    fn is_told(&self) -> bool {
        self.others.is_empty() && !self.objects.is_empty()
    }

    /// What was looked up, for people.
    pub(super) fn lines(&self) -> Vec<String> {
        let others = self.others.iter().map(|head| format!("`{head}`: cannot be looked up"));
        self.objects.iter().map(LookedUp::to_string).chain(others).collect()
    }
}

impl fmt::Display for LookedUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Created { object, schema, name, table, .. } = &self.object;
        write!(f, "{} `", object.as_str())?;
        if let (Some(schema), None) = (schema, table) {
            write!(f, "{schema}.")?;
        }
        write!(f, "{name}`")?;
        if let Some(table) = table {
            let schema = schema.as_ref().map(|it| format!("{it}.")).unwrap_or_default();
            write!(f, " on `{schema}{table}`")?;
        }
        f.write_str(match (self.there, self.object.replaces) {
            (There::Yes, false) => ": exists",
            (There::Yes, true) => ": exists, and the statement replaces one that does",
            (There::No, _) => ": does not exist",
            (There::Unclear, _) => ": one of that name is there, which need not be it",
        })
    }
}

/// Looks up what these statements create.
///
/// # Errors
/// Those of the server.
pub(super) async fn look_up<S: AsRef<str> + Sync>(
    client: &Client,
    statements: &[S],
) -> Answer<Found> {
    let mut found = Found::default();
    for statement in statements {
        match leaves(statement.as_ref()) {
            Leaves::Nothing => {}
            Leaves::Other => found.others.push(head(statement.as_ref())),
            Leaves::One(object) => {
                let there = there(client, &object).await?;
                found.objects.push(LookedUp { object, there });
            }
        }
    }
    Ok(found)
}

async fn there(client: &Client, created: &Created) -> Answer<There> {
    let sql = format!("{} AND n.nspname !~ '^pg_(temp|toast)'", sql(created.object));
    let sql = format!(
        "SELECT count(*) FILTER (WHERE nspname = coalesce($3, current_schema())), count(*), \
         count(*) FILTER (WHERE nspname IS NULL) FROM ({sql}) found"
    );
    let values: [(&(dyn ToSql + Sync), Type); 3] =
        [(&created.name, Type::TEXT), (&created.table, Type::TEXT), (&created.schema, Type::TEXT)];
    let row = client.query_typed_one(&sql, &values).await?;
    let (here, anywhere): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    let unsound: i64 = row.try_get(2)?;
    // These have no schema that their name depends on.
    let is_global = matches!(created.object, Object::Schema | Object::Extension);
    if unsound > 0 {
        return Ok(There::Unclear);
    }
    Ok(match (is_global, here, anywhere) {
        (true, _, 1..) | (false, 1, _) => There::Yes,
        (_, 0, 0) => There::No,
        (false, 0, _) if created.schema.is_some() => There::No,
        // Which of several functions it is, or which schema came first then, nobody can tell.
        _ => There::Unclear,
    })
}

/// The schemas of the relations of these kinds.
macro_rules! classes {
    ($kinds:literal) => {
        concat!(
            "SELECT n.nspname FROM pg_catalog.pg_class c
                JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
             WHERE c.relname = $1 AND $2::text IS NULL AND c.relkind IN (",
            $kinds,
            ")"
        )
    };
}

/// The schemas of the objects of that sort that are called `$1`, and belong to the table `$2`.
fn sql(object: Object) -> &'static str {
    match object {
        Object::Table => classes!("'r', 'p', 'f'"),
        Object::View => classes!("'v'"),
        Object::MaterializedView => classes!("'m'"),
        Object::Sequence => classes!("'S'"),
        Object::Index => {
            // One that is not valid is there, and is not the one that was asked for.
            "SELECT CASE WHEN i.indisvalid THEN n.nspname END AS nspname FROM pg_catalog.pg_index i
                JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
                JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
                JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
             WHERE c.relname = $1 AND t.relname = $2"
        }
        Object::Function => {
            "SELECT n.nspname FROM pg_catalog.pg_proc p
                JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
             WHERE p.proname = $1 AND $2::text IS NULL"
        }
        Object::Type => {
            "SELECT n.nspname FROM pg_catalog.pg_type t
                LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
                JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
             WHERE t.typname = $1 AND $2::text IS NULL AND (c.oid IS NULL OR c.relkind = 'c')"
        }
        Object::Schema => {
            "SELECT n.nspname FROM pg_catalog.pg_namespace n
             WHERE n.nspname = $1 AND $2::text IS NULL"
        }
        Object::Extension => {
            "SELECT n.nspname FROM pg_catalog.pg_extension e
                JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
             WHERE e.extname = $1 AND $2::text IS NULL"
        }
        Object::Policy => {
            "SELECT n.nspname FROM pg_catalog.pg_policy p
                JOIN pg_catalog.pg_class t ON t.oid = p.polrelid
                JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
             WHERE p.polname = $1 AND t.relname = $2"
        }
        Object::Trigger => {
            "SELECT n.nspname FROM pg_catalog.pg_trigger g
                JOIN pg_catalog.pg_class t ON t.oid = g.tgrelid
                JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
             WHERE g.tgname = $1 AND t.relname = $2 AND NOT g.tgisinternal"
        }
    }
}
