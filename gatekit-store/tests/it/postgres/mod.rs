//! Tests of the PostgreSQL ledger on a real server, of which `GATEKIT_TEST_POSTGRES` says where it is.

mod chaos;
mod clock;
mod conformance;
mod database;
mod death;
mod explored;
mod harm;
mod lost;
mod moved;
mod open;
mod roles;
mod standby;
mod tls;
mod turns;
