//! A suite: all behaviours by name, all at once, and each as a test of its own.

/// Makes `NAMES`, `all` and a macro of these functions. The last is given a dollar sign, which it cannot
/// write itself.
macro_rules! suite {
    ($subject:ident in $suite:ident, $conforms:ident $d:tt: $($name:ident),+ $(,)?) => {
        /// The names of all behaviours of this suite.
        pub const NAMES: &[&str] = &[$(stringify!($name)),+];

        /// Runs every behaviour that `subject` declares to be capable of, one after the other.
        ///
        /// # Panics
        /// At the first sentence of the contract that is broken.
        pub async fn all<S: $subject>(subject: &S) {
            $($name(subject).await;)+
        }

        /// Makes a module of tests for each subject, with a test for each behaviour of the suite: the
        /// attribute of an asynchronous test, then each module's name and its subject.
        ///
        /// ```text
        #[doc = concat!(stringify!($conforms), "!(#[tokio::test] single: Kind::Single, index: Kind::Index);")]
        /// ```
        #[macro_export]
        macro_rules! $conforms {
            (#[$d test:meta] $d($d module:ident: $d subject:expr),+ $d(,)?) => {
                $d(mod $d module {
                    use super::*;

                    $(#[$d test]
                    async fn $name() {
                        $crate::conformance::$suite::$name(&$d subject).await;
                    })+
                })+
            };
        }
    };
}
pub(crate) use suite;
