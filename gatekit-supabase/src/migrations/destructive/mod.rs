//! What a migration would destroy, and what of it nobody can tell beforehand.
//!
//! Words are looked at, not meanings: this errs on the side of a second look.
//!
//! | found | also |
//! |---|---|
//! | `TRUNCATE`; `DELETE` and `UPDATE` without a condition, or with one that is always true | in a CTE, in the body of a function or a block, in a rule |
//! | `DROP` of anything; `ALTER TABLE … DROP` of a column or a constraint | in bodies |
//! | a new name, schema or type of what there is | in bodies |
//! | row security or triggers that are disabled, partitions that are detached, `REVOKE` | in bodies |
//! | whatever touches the history of migrations | in strings |
//!
//! Not analysable are blocks (`DO`), `EXECUTE` of a text, `CALL`, bodies in other languages than SQL and
//! PL/pgSQL, and strings that hold SQL of the table above: a job of `cron.schedule` is one. What a function
//! does that a `SELECT` calls is not seen at all.
//!
//! With the feature `squawk`, that parser has a second look, and what it cannot parse is not analysable
//! either.

mod concern;
mod condition;
mod ddl;
mod gate;
mod literal;
mod nested;
mod rules;
mod scan;
#[cfg(feature = "squawk")]
mod squawk;

pub use concern::{Concern, Sort, review};
pub use gate::{Destructive, PendingFiles};
