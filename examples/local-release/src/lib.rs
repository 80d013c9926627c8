//! The command line of `local-release`, apart from the program so that tests can ask it anything.

pub mod args;
