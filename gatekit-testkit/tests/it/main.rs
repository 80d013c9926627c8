//! The testkit against gatekit's own engine and stores.

mod explorer;
