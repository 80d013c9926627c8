//! Seeing a suite fail.

use std::future::Future;

/// Runs one behaviour on a double that breaks it, and sees that it tells so, by the contract's own
/// words.
pub(crate) async fn caught(contract: &str, behaviour: impl Future<Output = ()> + Send + 'static) {
    let Err(failed) = tokio::spawn(behaviour).await else {
        panic!("nothing was found wrong");
    };
    let panic = failed.into_panic();
    let told = panic.downcast_ref::<String>().map_or("", String::as_str);
    let wanted = format!("{contract} is broken: \"");
    assert!(told.starts_with(&wanted), "expected `{wanted}…`, got `{told}`");
}

/// One test for each wrong double: what is wrong, the behaviour that catches it, and the part of the
/// contract it names. And one that no behaviour was never seen to fail.
macro_rules! wrong {
    ($suite:ident of $make:expr; $($test:ident: $wrong:ident => $behaviour:ident, $contract:literal;)+) => {
        $(#[tokio::test]
        async fn $test() {
            crate::caught::caught($contract, async {
                $suite::$behaviour(&$make(Wrong::$wrong)).await;
            })
            .await;
        })+

        #[test]
        fn every_behaviour_has_been_seen_to_fail() {
            let seen = [$(stringify!($behaviour)),+];
            for name in $suite::NAMES {
                assert!(seen.contains(name), "nothing wrong is known that `{name}` catches");
            }
        }
    };
}
pub(crate) use wrong;
