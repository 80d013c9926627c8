//! How gatekit connects to PostgreSQL: the ledger's server, and the databases that migrations go to.
//!
//! An [`Address`] is what a URL says, shown without its password; [`Hosts`] connects to the first of its
//! servers that answers, by TLS that proves the server's name unless the URL says otherwise; and
//! [`Trouble`] is what a failure means for whoever asked.

mod address;
mod hosts;
mod tls;
mod trouble;

pub use address::{Address, Purpose, Tls};
pub use hosts::{Connected, Hosts};
pub use trouble::Trouble;
