//! What the public interface of gatekit-core must do, and must not allow.

mod compile_fail;
