//! Runs that are cut off in the middle of a recovery: killed, interrupted, overtaken.

use std::sync::Arc;
use std::time::Duration;

use gatekit_core::ledger::LockState;
use gatekit_core::{OnInterrupt, Outcome, Replan, SameChange, code};
use tokio::sync::Notify;

use crate::ledgers::{FailsRenewals, audit, failing};
use crate::repair::*;
use crate::world::*;

/// The ledger goes away at every append in turn: a holder that died there. What the next one finds
/// must come to the end that the run would have come to, with no more recoveries than it may have.
async fn dies_once(make: impl Fn() -> Shop, outcome: Outcome) {
    for first in 1.. {
        let (bench, shop, died) = die(make(), first).await;
        if !died {
            assert!(first > 15, "{first} appends");
            break;
        }
        comes_to_its_end(&bench, &shop, outcome, (first, 0)).await;
    }
}

/// And at every append of the resume that follows.
async fn dies_twice(make: impl Fn() -> Shop, outcome: Outcome) {
    let mut paths = 0;
    for first in 1.. {
        if !die(make(), first).await.2 {
            break;
        }
        for second in 1.. {
            let (bench, shop, _) = die(make(), first).await;
            if !resume_dies(&bench, &shop, second).await {
                break;
            }
            comes_to_its_end(&bench, &shop, outcome, (first, second)).await;
            paths += 1;
        }
    }
    assert!(paths > 100, "{paths} paths");
}

async fn die(shop: Shop, at: usize) -> (Bench, Shop, bool) {
    let bench = Bench::new();
    let ledger = failing(&bench, at);
    let report = engine(Arc::clone(&ledger) as _).ship(&shop.pipeline(), candidate("v2")).await;
    let died = ledger.dead().is_err();
    if died {
        assert!(!matches!(report.outcome, Outcome::Released | Outcome::RolledBack), "{report:?}");
        bench.leases_lapse();
    }
    (bench, shop, died)
}

async fn resume_dies(bench: &Bench, shop: &Shop, at: usize) -> bool {
    let Some(run) = bench.last_opened().await else { return false };
    let ledger = failing(bench, at);
    let report = engine(Arc::clone(&ledger) as _).resume(&shop.pipeline(), run).await;
    let died = ledger.dead().is_err();
    if died {
        assert!(!matches!(report.outcome, Outcome::Released | Outcome::RolledBack), "{report:?}");
        bench.leases_lapse();
    }
    died
}

async fn comes_to_its_end(bench: &Bench, shop: &Shop, outcome: Outcome, at: (usize, usize)) {
    let Some(run) = bench.last_opened().await else {
        assert_eq!(shop.live(), ("v1".into(), "db".into()), "it died before it was opened");
        return;
    };
    let report = bench.engine().resume(&shop.pipeline(), run).await;
    assert_eq!(report.outcome, outcome, "{at:?}: {report:?}\n{:#?}", bench.bodies().await);
    assert_eq!(bench.state().await.state, LockState::Free, "{at:?}");
    shop.is_left_as(bench, outcome, 1).await;
    let recoveries = stages(bench, recovering).await.len();
    assert_eq!(recoveries, shop.at_most as usize, "{at:?}: counted in the journal");
    audit(bench, &[&shop.app, &shop.db]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_that_dies_at_any_append_is_finished_and_planned_anew() {
    dies_once(|| Shop::needing(1, Replan), Outcome::Released).await;
    dies_twice(|| Shop::needing(1, Replan), Outcome::Released).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_that_dies_at_any_append_is_finished_and_the_same_change_applied() {
    dies_once(|| Shop::needing(1, SameChange), Outcome::Released).await;
    dies_twice(|| Shop::needing(1, SameChange), Outcome::Released).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_that_dies_at_any_append_and_does_not_help_is_undone() {
    dies_once(|| Shop::needing(2, Replan), Outcome::RolledBack).await;
    dies_twice(|| Shop::needing(2, Replan), Outcome::RolledBack).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_that_dies_at_any_append_is_undone_when_verification_fails() {
    let make = || Shop::needing(1, SameChange).verified(Says::Fail);
    dies_once(make, Outcome::RolledBack).await;
}

#[tokio::test]
async fn what_has_run_as_often_as_it_may_does_not_run_again_after_a_resume() {
    let shop = Shop::needing(2, SameChange);
    let failed = |body: &_| matches!(body, gatekit_core::ledger::Body::StageFailed { .. });
    let (bench, report) = interrupted(&shop, OnInterrupt::LeaveForResume, nth(2, failed)).await;
    assert_eq!(report.outcome, Outcome::Interrupted, "{report:?}");
    assert_eq!(shop.db.live(), "db+");
    let report = bench.engine().resume(&shop.pipeline(), report.run.unwrap()).await;
    assert_eq!(report.outcome, Outcome::RolledBack, "{report:?}");
    assert!(report.failure.unwrap().to_string().contains("as often as it may"));
    assert_eq!(stages(&bench, recovering).await.len(), 1);
    shop.is_left_as(&bench, Outcome::RolledBack, 0).await;
}

/// At every entry of the run in turn.
#[tokio::test]
async fn after_an_interrupt_nothing_is_repaired_and_nothing_tried_again() {
    for then in [Replan, SameChange] {
        for choice in [OnInterrupt::Unwind, OnInterrupt::LeaveForResume] {
            for at in 1.. {
                let shop = Shop::needing(1, then);
                let (bench, report) = interrupted(&shop, choice, nth(at, |_| true)).await;
                let kinds = bench.kinds().await;
                if report.outcome == Outcome::Released {
                    assert_eq!(kinds.len(), at.min(kinds.len()), "{kinds:?}");
                    break;
                }
                let since = &kinds[at..];
                let goes_on = ["recovering", "applying"].map(|kind| since.contains(&kind));
                assert_eq!(goes_on, [false, false], "{then:?} {at}: {kinds:?}");
                if report.outcome == Outcome::Interrupted {
                    let run = report.run.unwrap();
                    let report = bench.engine().resume(&shop.pipeline(), run).await;
                    assert_eq!(report.outcome, Outcome::Released, "{at}: {report:?}");
                    shop.is_left_as(&bench, Outcome::Released, 1).await;
                } else {
                    assert_eq!(choice, OnInterrupt::Unwind, "{report:?}");
                    shop.is_left_as(&bench, report.outcome, 0).await;
                }
            }
        }
    }
}

#[tokio::test]
async fn without_the_ledger_nothing_is_repaired() {
    let (bench, shop) = (Bench::new(), Shop::needing(1, Replan));
    // opened, granted, applying, stage_failed: the recovery cannot be journalled.
    let report = engine(failing(&bench, 5) as _).ship(&shop.pipeline(), candidate("v2")).await;
    assert_eq!(report.outcome, Outcome::Stuck, "{report:?}");
    assert_eq!(report.failure.unwrap().code, code::LOCK_LOST);
    assert_eq!(bench.kinds().await.last(), Some(&"stage_failed"));
    assert!(shop.db.writes().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_is_overtaken_in_a_recovery_repairs_nothing() {
    let (bench, shop) = (Bench::new(), Shop::needing(1, Replan));
    let (waiting, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    shop.db.lock().apply = Apply::WaitsBeforePermit(Arc::clone(&waiting), Arc::clone(&go_on));
    let ledger = FailsRenewals::hanging(&bench);
    let zombie = engine(ledger).with_lease(Duration::from_secs(5)).unwrap();
    let zombie = zombie.ship(&shop.pipeline(), candidate("v2"));
    waiting.notified().await;
    shop.db.lock().apply = Apply::Lands;
    bench.leases_lapse();
    let report = bench.engine().resume(&shop.pipeline(), zombie.run()).await;
    assert_eq!(report.outcome, Outcome::Released, "{report:?}");
    go_on.notify_one();
    let report = zombie.await;
    assert_eq!(report.failure.unwrap().code, code::LOCK_LOST);
    assert_eq!(shop.db.writes(), ["repair:db+"]);
    shop.is_left_as(&bench, Outcome::Released, 1).await;
}

/// A rollback that fails with the very code.
#[tokio::test]
async fn nothing_is_repaired_while_a_run_unwinds() {
    let shop = Shop::needing(0, SameChange).verified(Says::Fail);
    shop.app.lock().rollback_fails = true;
    let (bench, report) = ship(&shop).await;
    assert_eq!(report.outcome, Outcome::Stuck, "{report:?}");
    let report = bench.engine().resume(&shop.pipeline(), report.run.unwrap()).await;
    assert_eq!(report.outcome, Outcome::Stuck, "{report:?}");
    assert!(!bench.kinds().await.contains(&"recovering"));
    assert!(shop.db.writes().is_empty());
}
