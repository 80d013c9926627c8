//! The facade, as its users see it.

#![expect(clippy::unwrap_used, reason = "these are tests")]

#[cfg(all(feature = "blocking", feature = "local", feature = "sqlite"))]
mod blocking;
#[cfg(all(
    feature = "aws",
    feature = "blocking",
    feature = "cli",
    feature = "github",
    feature = "http",
    feature = "local",
    feature = "sqlite",
    feature = "supabase"
))]
mod codes;
mod guide;
