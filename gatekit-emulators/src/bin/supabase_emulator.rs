//! An emulated management API of Supabase to try a release tool with.

use std::io::{self, Write as _};

use clap::Parser;
use gatekit_emulators::{Clock, Injection, Supabase};

/// Serves an emulated management API of Supabase on the loopback, with one project and whatever token.
#[derive(Debug, Parser)]
#[command(name = "supabase-emulator")]
struct Cli {
    /// The port; 0 for a free one.
    #[arg(long, default_value_t = 4567)]
    port: u16,

    /// A function that is there, with one file that says its name.
    #[arg(long, value_name = "SLUG")]
    function: Vec<String>,

    /// A secret that is there.
    #[arg(long, value_name = "NAME")]
    secret: Vec<String>,

    /// What goes wrong with the next calls, as `throttled:3:ListFunctions`.
    #[arg(long, value_name = "TROUBLE[:TIMES[:OPERATION]]")]
    fault: Vec<Injection>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let cli = Cli::parse();
    let supabase = Supabase::new(Clock::at_speed(1.0));
    supabase.with_project(|project| {
        cli.function.iter().for_each(|slug| project.deploy(slug, slug, true));
        cli.secret.iter().for_each(|name| project.set_secret(name));
    });
    cli.fault.into_iter().for_each(|fault| supabase.inject(fault));
    let listening = supabase.listen(cli.port).await?;
    writeln!(io::stdout(), "{} {}", listening.url(), Supabase::PROJECT)?;
    tokio::signal::ctrl_c().await
}
