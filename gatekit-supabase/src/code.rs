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
    /// A file that allows no transaction cannot be gone on with: what it has set up in its session is gone.
    SESSION_GONE = "migration.session_gone",
        next: "write the rest of the file as a new one, and repair the history for this one";
    /// The session that applied a file has lost the lock on the migrations.
    LOCK_LOST = "migration.lock_lost",
        next: "`resume`: it goes on from where the file is; see who ended the session, or shares it";
    /// A part of a file is applied, and it is not what the file says now.
    UNFINISHED = "migration.unfinished",
        next: "restore the file's beginning as it was applied: see `supabase_migrations.gatekit_progress`";
    /// The server refused a statement. Of a file that allows no transaction, what was done before it stays.
    FAILED = "migration.failed",
        next: "see the place that is named; mend the file and ship again";
    /// The history is another one than when the change was planned.
    ELSEWHERE = "migration.elsewhere",
        next: "see who else applies migrations; ship again";
    /// Somebody else applies migrations.
    LOCKED = "migration.locked",
        next: "wait until the session that is named has ended, or end it";
    /// A file took longer than there was time. Of one that allows no transaction, what is done stays.
    DEADLINE = "migration.deadline",
        next: "allow more time, or see what holds the locks that it waits for";
    /// It cannot be told whether a file was applied: the server went away, or did other than it was asked.
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

    /// No project can have that reference, or nothing is asked for.
    CONFIG = "supabase.config",
        next: "see what was given: a reference is 20 small letters, as in the URL of the dashboard";
    /// The management API does not accept the token.
    UNAUTHORIZED = "supabase.unauthorized",
        next: "give a personal access token that has not expired";
    /// The token may not do that.
    FORBIDDEN = "supabase.forbidden",
        next: "give the token the scope that is named, and its owner a role in the project";
    /// The management API does not find the project or the function.
    NOT_FOUND = "supabase.not_found",
        next: "see the reference of the project, and that its owner is the token's";
    /// The project has as many functions as its plan allows.
    FUNCTION_LIMIT = "supabase.function_limit",
        next: "remove a function that nobody calls, or choose a larger plan";
    /// The management API was asked too often, and there was no time to wait.
    RATE_LIMITED = "supabase.rate_limited",
        next: "try again in a minute";
    /// The management API failed by itself.
    UNAVAILABLE = "supabase.unavailable",
        next: "see status.supabase.com, and try again";
    /// The management API could not be reached, or did not answer.
    UNREACHABLE = "supabase.unreachable",
        next: "see the cause: the network, or a name that is not resolved";
    /// The endpoint does not know a call.
    UNSUPPORTED = "supabase.unsupported",
        next: "see which endpoint it is: only Supabase's own has all of them";
    /// The management API refused a call.
    REFUSED = "supabase.refused",
        next: "see what it says";
    /// An answer of the management API lacks what it must have, or is too long.
    ANSWER = "supabase.answer",
        next: "see whether the URL is that of the management API; report it if it is";
    /// The management API says something where only a few words are known, or nothing.
    UNKNOWN_VALUE = "supabase.unknown_value",
        next: "use a newer gatekit, or report it";
    /// The configuration of a function cannot be used.
    FUNCTIONS_CONFIG = "functions.config",
        next: "see what is named: `supabase/config.toml`, or how the deploy is made";
    /// A file that a function needs is not there.
    FUNCTIONS_NO_FILE = "functions.no_file",
        next: "see the file that names it";
    /// A file that a function needs is outside of the project.
    FUNCTIONS_OUTSIDE = "functions.outside",
        next: "move it into the project: nothing else is sent";
    /// A file of a function cannot be read.
    FUNCTIONS_UNREADABLE = "functions.unreadable",
        next: "see that it is a text in UTF-8 where it is a script, and that this user may read it";
    /// The files of a function are more than may be sent.
    FUNCTIONS_TOO_LARGE = "functions.too_large",
        next: "see the patterns of the static files";
    /// An import map cannot be read as one.
    FUNCTIONS_IMPORT_MAP = "functions.import_map",
        next: "mend the file: it is JSON, which may have comments";
    /// A file of a function was changed since it was planned.
    FUNCTIONS_CHANGED = "functions.changed",
        next: "ship again: what was approved is not what is in the folder";
    /// Somebody else has deployed a function since the change was planned.
    FUNCTIONS_ELSEWHERE = "functions.elsewhere",
        next: "see who else deploys; ship again";
    /// It cannot be told whether a function was deployed, or by whom.
    FUNCTIONS_CANNOT_TELL = "functions.cannot_tell",
        next: "see the function in the dashboard; `reconcile` by what is live";
    /// A function checks JSON web tokens after a deploy where it was not to, or the other way round; or it
    /// cannot be told whether it does.
    FUNCTIONS_VERIFY_JWT = "functions.verify_jwt",
        next: "say `verify_jwt` for the function in `supabase/config.toml`";
    /// The folder in which artefacts are kept cannot be read or written.
    FUNCTIONS_KEEP = "functions.keep",
        next: "see the path, and that this user may write there";
    /// The artefact to return to is not in the folder any more.
    FUNCTIONS_NOT_KEPT = "functions.not_kept",
        next: "bring the folder back in which it was kept, or deploy an earlier commit";
    /// The artefact to return to was never to be had.
    FUNCTIONS_NO_WAY_BACK = "functions.no_way_back",
        next: "deploy an earlier commit";
    /// Secrets are not set that the functions need.
    SECRETS_MISSING = "secrets.missing",
        next: "set those that are named, by `supabase secrets set` or in the dashboard; ship again";
    /// A repair names no version.
    NO_VERSIONS = "migration.no_versions",
        next: "name the versions; see whether a variable is empty";
    /// A repair names versions that the history, or the folder, does not have. None was repaired.
    UNKNOWN_VERSION = "migration.unknown_version",
        next: "see the versions that are there, and name these";
    /// That a file is applied is not proven.
    UNPROVEN = "migration.unproven",
        next: "see what was looked up; give a probe where the objects do not tell";
    /// The probe that is to prove that a file is applied cannot be asked.
    PROBE = "migration.probe",
        next: "give a query that only reads, and gives one row of one column, true or false";
    /// What a row was before its repair is not kept any more.
    NOT_KEPT = "migration.not_kept",
        next: "see who has altered `supabase_migrations.gatekit_repairs`; write the row by hand";
    /// Nothing of versions that no file has is in the database, and they may not be removed without a person.
    ORPHANS_ABSENT = "migration.orphans_absent",
        next: "remove their rows by `repair --status reverted`, or allow it without a person";
    /// What versions have created that no file has, is in the database.
    ORPHANS_PRESENT = "migration.orphans_present",
        next: "bring their files here, commit them, and ship again";
    /// Whether what versions have created that no file has is in the database, cannot be told.
    ORPHANS_UNCLEAR = "migration.orphans_unclear",
        next: "look whether they are applied: bring their files here, or remove their rows";
    /// The statements of the history cannot be written as files.
    NOT_WRITTEN = "migration.not_written",
        next: "see the path that is named; write the file by hand";
}
