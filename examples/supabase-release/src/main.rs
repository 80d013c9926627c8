//! Releases migrations and edge functions to a project of Supabase, through gatekit.

mod functions;
mod list;
mod repair;
mod ship;
mod site;

use std::process::ExitCode;

use gatekit_cli::App;

const EXAMPLES: &str = "\
Examples:
  export SUPABASE_DB_URL=postgres://postgres@db.abcdefghijklmnopqrst.supabase.co/postgres PGPASSWORD=..
  supabase-release list
      what is in supabase/migrations beside what is applied
  supabase-release plan
      what a ship would apply, without applying it
  supabase-release ship
      apply what is pending, each file as a whole, recorded, or not at all
  supabase-release ship --functions hello,webhook --project-ref abcdefghijklmnopqrst
      and deploy these functions then, together (with SUPABASE_ACCESS_TOKEN)
  supabase-release repair --status reverted 20260101000000
      tell the history that a version is not applied
  supabase-release resume
      go on where a killed or interrupted run stopped";

fn main() -> ExitCode {
    App::new("supabase-release")
        .about(
            "Releases a project of Supabase: its pending migrations, each a transaction with its row in \
             the history of the Supabase CLI, and its edge functions, which go back to what was live \
             when something is wrong.",
        )
        .version(env!("CARGO_PKG_VERSION"))
        .examples(EXAMPLES)
        .deadline("30m")
        .codes(gatekit_supabase::code::ALL)
        .pipeline("production/supabase", ship::shipment)
        .variant_at_any_time(
            "repair",
            "Tell the history that versions are applied, or that they are not",
            repair::shipment,
        )
        .look("list", "Show the migrations of the project beside those that are applied", list::list)
        .run()
}
