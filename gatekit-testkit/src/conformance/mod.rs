//! Conformance suites: every implementation of a contract, gatekit's own or anybody's, runs the same
//! functions. They panic where the contract is broken, and say which sentence of it.

pub mod ledger;
