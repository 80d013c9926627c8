//! Proofs for implementations of gatekit's contracts: what every ledger, gate, deployer and rollback
//! must do, and what no pipeline may do whatever fails.

pub mod conformance;
pub mod explorer;
