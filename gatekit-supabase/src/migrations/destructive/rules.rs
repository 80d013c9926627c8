//! What is looked for, why it matters, and what to do instead.

/// One thing that is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) name: &'static str,
    pub(super) why: &'static str,
    pub(super) safe: &'static str,
}

macro_rules! rules {
    ($($constant:ident = $name:literal: $why:literal; $safe:literal;)+) => {
        $(pub(super) const $constant: Rule = Rule { name: $name, why: $why, safe: $safe };)+
    };
}

rules! {
    TRUNCATE = "truncate":
        "it removes all rows of a table, and what refers to them with `CASCADE`";
        "delete what is not needed by a condition, in batches, after a backup";
    DELETE_ALL = "delete-without-where":
        "it removes all rows of a table";
        "add a condition; delete in batches, after a backup";
    UPDATE_ALL = "update-without-where":
        "it overwrites a column in all rows, and locks them until the file is applied";
        "add a condition; fill a new column in batches, then switch to it";
    MERGE_DELETE = "merge-delete":
        "it removes rows that match another table";
        "mark the rows first, and delete them by that mark later";
    DROP_TABLE = "drop-table":
        "the rows are gone, and what runs may still read them";
        "release what no longer uses it first; rename it, and drop it after a while";
    DROP_COLUMN = "drop-column":
        "the values are gone, and what runs may still read them";
        "release what no longer uses it first; drop it in a later migration";
    DROP_CONSTRAINT = "drop-constraint":
        "rows that were refused are taken from now on";
        "add the new constraint `NOT VALID`, validate it, and drop the old one then";
    DROP_SCHEMA = "drop-schema":
        "all that is in it may be gone with it";
        "drop what is in it one by one, and the schema without `CASCADE`";
    DROP_TYPE = "drop-type":
        "columns and functions of that type are gone with `CASCADE`";
        "move the columns to another type first, and drop it without `CASCADE`";
    DROP_VIEW = "drop-view":
        "what runs may still read it, and its grants are gone";
        "`CREATE OR REPLACE VIEW`, or release what no longer uses it first";
    DROP_FUNCTION = "drop-function":
        "what runs may still call it; triggers and policies are gone with `CASCADE`";
        "`CREATE OR REPLACE FUNCTION`, or a function of another name";
    DROP_POLICY = "drop-policy":
        "rows may be open to others, or closed to those who need them";
        "create the new policy first, and drop the old one in the same file";
    DROP_TRIGGER = "drop-trigger":
        "what it kept true is kept no longer";
        "`CREATE OR REPLACE TRIGGER`";
    DROP_INDEX = "drop-index":
        "queries may become slow, and a unique index keeps nothing unique any more";
        "create the new index first, and see that nothing uses the old one";
    DROP_EXTENSION = "drop-extension":
        "its types, functions and columns are gone with `CASCADE`";
        "drop what uses it first, and the extension without `CASCADE`";
    DROP_ROLE = "drop-role":
        "who connects as it is shut out; `DROP OWNED` takes tables with it";
        "reassign what it owns, take its login away, and drop it after a while";
    DROP_OTHER = "drop":
        "what runs may still use it";
        "release what no longer uses it first; drop it in a later migration";
    RENAME = "rename":
        "what runs uses the old name until it is released anew";
        "add the new one beside it, fill both, and drop the old one later; or leave a view behind";
    SET_SCHEMA = "set-schema":
        "what runs looks for it in the old schema";
        "leave a view behind in the old schema";
    ALTER_TYPE = "alter-column-type":
        "the table may be rewritten under a lock, and values may be lost";
        "add a column of the new type, fill it in batches, and switch to it";
    DISABLE_RLS = "disable-row-security":
        "all rows are open to everybody who may read the table";
        "keep it enabled, and add a policy for who needs more";
    DISABLE_TRIGGER = "disable-trigger":
        "what it kept true, foreign keys too, is kept no longer";
        "keep it enabled; let the trigger itself see that it has nothing to do";
    DETACH = "detach-partition":
        "its rows are no longer in the table";
        "see that nothing reads them there";
    REVOKE = "revoke":
        "what runs may be shut out";
        "grant the narrower right first, and revoke when nothing uses the wider one";
    HISTORY = "migration-history":
        "it touches the history by which it is known what has been applied";
        "leave the history to the release, and repair it by its own command";
    DO_BLOCK = "do-block":
        "what a block does depends on what it finds: nobody can tell beforehand";
        "write it as plain statements, or let a second person read it";
    DYNAMIC = "dynamic-sql":
        "statements are made while it runs: nobody can tell beforehand which";
        "write it as plain statements, or let a second person read it";
    CALL = "call":
        "what a procedure does cannot be seen in this file";
        "write it as plain statements, or let a second person read it";
    LANGUAGE = "other-language":
        "its body is in a language that is not looked into";
        "let a second person read it";
    SQL_IN_TEXT = "sql-in-text":
        "a string holds SQL that would destroy something if it is run";
        "see who runs it, or let a second person read it";
    TOO_DEEP = "nested-too-deep":
        "strings are nested so deep that nobody looks into them";
        "let a second person read it";
}
