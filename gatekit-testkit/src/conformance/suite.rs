//! A suite: all behaviours by name, and all at once.

/// Makes `NAMES` and `all` of these functions.
macro_rules! suite {
    ($subject:ident: $($name:ident),+ $(,)?) => {
        /// The names of all behaviours of this suite.
        pub const NAMES: &[&str] = &[$(stringify!($name)),+];

        /// Runs every behaviour that `subject` declares to be capable of, one after the other.
        ///
        /// # Panics
        /// At the first sentence of the contract that is broken.
        pub async fn all<S: $subject>(subject: &S) {
            $($name(subject).await;)+
        }
    };
}
pub(crate) use suite;
