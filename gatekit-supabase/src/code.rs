//! The codes of this crate's refusals and errors.

gatekit_core::codes! {
    /// The folder of the migrations is not there, or cannot be read.
    NO_FOLDER = "migration.no_folder",
        next: "see the path: it is `supabase/migrations` in the project";
    /// A file cannot be read.
    UNREADABLE = "migration.unreadable",
        next: "see that it is a file and this user may read it";
    /// A version has other than 14 digits: files and history would be ordered differently.
    VERSION = "migration.version",
        next: "name the file `YYYYMMDDhhmmss_name.sql`; where it has been applied, repair the history, too";
    /// Two files have one version.
    DUPLICATE_VERSION = "migration.duplicate_version",
        next: "give the newer of the two a version of its own";
    /// A down file lies among the migrations, where the Supabase CLI would apply it.
    DOWN_FILE = "migration.down_file",
        next: "move it to the folder `down` beside the migrations";
    /// A file is larger than files may be.
    TOO_LARGE = "migration.too_large",
        next: "load data outside of migrations, or raise the limit";
    /// A file has a NUL byte, which PostgreSQL takes in no text.
    NUL = "migration.nul",
        next: "remove the byte; see whether the file is text";
    /// A file is not UTF-8.
    NOT_UTF8 = "migration.not_utf8",
        next: "save the file as UTF-8";
    /// A file begins or ends transactions by itself: what it leaves half done, nobody could tell.
    TRANSACTION_CONTROL = "migration.transaction_control",
        next: "remove the statement: each file is one transaction; split the file where it is to commit";
    /// A file has statements that need a transaction, and ones that allow none.
    MIXED = "migration.mixed",
        next: "move the statement that is named to a file of its own, with a version between";
    /// A file copies data from its own text, which only psql can.
    COPY_DATA = "migration.copy_data",
        next: "write the rows as INSERT, or load them outside of migrations";
    /// A file has a command of psql.
    META_COMMAND = "migration.meta_command",
        next: "remove the line, or write it in SQL";
    /// PostgreSQL would read more than one statement where the file is split into one.
    SEVERAL = "migration.several",
        next: "see the quotes and parentheses before the place that is named";
}
