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
    /// Versions were applied that no file has.
    ORPHANED = "migration.orphaned",
        next: "bring the files here, as by `git pull`; only what nobody has is for a repair of the history";
    /// Files were edited after they had been applied.
    DRIFTED = "migration.drifted",
        next: "restore the files as they were applied, and write the difference as a new migration";
    /// Files are older than what was applied last.
    OUT_OF_ORDER = "migration.out_of_order",
        next: "give the files newer versions, or allow files out of order";
    /// A file was changed since it was planned.
    CHANGED = "migration.changed",
        next: "ship again: what was approved is not what is in the folder";
    /// A file allows no transaction, and has a statement that cannot be applied without one either.
    NON_TRANSACTIONAL = "migration.non_transactional",
        next: "remove the statement that is named: each file begins with a session as new";
    /// A file needs a session of its own, and a pooler gives it none.
    POOLED = "migration.pooled",
        next: "name the server itself, or the pooler's port for sessions";
    /// A part of a file is applied, and it is not what the file says now.
    UNFINISHED = "migration.unfinished",
        next: "restore the file's beginning as it was applied: see `supabase_migrations.gatekit_progress`";
    /// The server refused a statement; nothing of its file was applied.
    FAILED = "migration.failed",
        next: "see the place that is named; mend the file and ship again";
    /// The history is another one than when the change was planned.
    ELSEWHERE = "migration.elsewhere",
        next: "see who else applies migrations; ship again";
    /// Somebody else applies migrations.
    LOCKED = "migration.locked",
        next: "wait until the session that is named has ended, or end it";
    /// A file took longer than there was time; nothing of it was applied.
    DEADLINE = "migration.deadline",
        next: "allow more time, or see what holds the locks that it waits for";
    /// The server went away, and it cannot be read whether a file was applied.
    CANNOT_TELL = "migration.cannot_tell",
        next: "`resume` when the server can be reached: it reads the history";
    /// The history cannot be read as one.
    HISTORY = "migration.history",
        next: "see who has altered `supabase_migrations.schema_migrations`";
    /// The URL of the database cannot be used.
    DATABASE_URL = "database.url",
        next: "give it as `postgres://USER@HOST:PORT/DATABASE`, with the password beside it";
    /// No protected connection to the database can be made.
    DATABASE_TLS = "database.tls",
        next: "see the cause: name the authority by `?sslrootcert=FILE`, or the host as its certificate does";
    /// Others could listen to the connection.
    DATABASE_PLAINTEXT = "database.plaintext",
        next: "leave `sslmode=disable` out of the URL, or allow it where nobody else can listen";
    /// The database cannot be reached, or went away.
    DATABASE_UNREACHABLE = "database.unreachable",
        next: "check that the server runs and can be reached";
    /// The server is too busy.
    DATABASE_BUSY = "database.busy",
        next: "try again a little later";
    /// The server does not let this user in.
    DATABASE_LOGIN = "database.login",
        next: "check user and password";
    /// This user may not do that.
    DATABASE_DENIED = "database.denied",
        next: "connect as the owner of the database, as `postgres`";
    /// The server is a standby, or its database is read-only.
    DATABASE_READ_ONLY = "database.read_only",
        next: "name the server that may be written";
    /// The server has no such database.
    DATABASE_MISSING = "database.missing",
        next: "name an existing database";
    /// The server failed for another reason.
    DATABASE_FAILED = "database.failed",
        next: "see the cause, and the log of the server";
    /// A pending migration destroys something, or shuts something out.
    DESTRUCTIVE = "migration.destructive",
        next: "do it in the safe way that is named; or have a second person answer for it";
    /// Nobody can tell beforehand what a pending migration does.
    UNANALYSABLE = "migration.unanalysable",
        next: "write it as plain statements; or have a second person answer for it";
}
