//! Edge functions: their files as the Supabase CLI finds them, bundled by the server, switched together, and
//! a way back to the artefacts that were live.
//!
//! [`Deploy`] makes them live, [`Restore`] puts back what was. The API keeps no earlier version of a function,
//! so that the artefact that is replaced is kept in a folder of the caller's.

mod change;
mod config;
mod deploy;
mod files;
mod import_map;
mod imports;
mod keep;
mod lex;
mod paths;
mod restore;
mod source;
mod switching;
mod writing;
mod written;

pub use change::{
    Former, FunctionChange, FunctionReceipt, FunctionsChange, FunctionsReceipt, SentFile,
};
pub use deploy::Deploy;
pub use restore::Restore;
pub use source::Function;
