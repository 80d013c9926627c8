//! Decisions about runs with recoveries, and rollbacks of their releases.

use std::sync::Arc;

use gatekit_core::ledger::{Body, Decision, LockState};
use gatekit_core::{Action, OnInterrupt, Outcome, SameChange, Then, code, on};

use crate::ledgers::{audit, failing};
use crate::repair::*;
use crate::world::*;

/// A run that was left when `number` of its deploys had settled: the repair, the app.
async fn left_after(number: usize) -> (Bench, Shop, gatekit_core::RunId) {
    let shop = Shop::needing(1, SameChange);
    let settled = |body: &Body| matches!(body, Body::Settled { .. });
    let (bench, report) =
        interrupted(&shop, OnInterrupt::LeaveForResume, nth(number, settled)).await;
    assert_eq!(report.outcome, Outcome::Interrupted, "{report:?}");
    (bench, shop, report.run.unwrap())
}

#[tokio::test]
async fn a_decision_about_a_recovery_holds_only_when_what_was_found_allows_it() {
    use Decision::{Adopt, ConfirmOld, RollBack};
    use Outcome::{Released, RolledBack, Stuck};
    for (settled, decision, (app, db), outcome) in [
        (1, Adopt, ("v1", "db+"), Stuck),
        (1, ConfirmOld, ("v1", "db+"), Stuck),
        (1, ConfirmOld, ("v1", "db"), RolledBack),
        (1, RollBack, ("v1", "db+"), RolledBack),
        (2, Adopt, ("v2", "db+"), Released),
        // What was repaired may have been overwritten by what it was repaired for.
        (2, Adopt, ("v2", "db+ moved on"), Released),
        (2, Adopt, ("v1", "db+"), Stuck),
        (2, ConfirmOld, ("v1", "db+"), Stuck),
        (2, ConfirmOld, ("v1", "db"), RolledBack),
        (2, RollBack, ("v2", "db+"), RolledBack),
    ] {
        let (bench, shop, run) = left_after(settled).await;
        shop.app.lock().live = app.into();
        shop.db.lock().live = db.into();
        let pipeline = shop.pipeline();
        let looked = bench.engine().reconcile(&pipeline, run, None, "").await;
        let adopt = Action::Verb(
            gatekit_core::Verb::Reconcile,
            ["--adopt", "--reason", "TEXT"].map(ToOwned::to_owned).into(),
        );
        let offered = looked.next.iter().any(|next| next.action == adopt);
        assert_eq!(offered, app == "v2", "{looked:?}");
        let report = bench.engine().reconcile(&pipeline, run, Some(decision), "because").await;
        let case = format!("{settled} {decision:?} {app} {db}: {report:?}");
        assert_eq!(report.outcome, outcome, "{case}");
        let free = outcome != Stuck;
        assert_eq!(bench.state().await.state == LockState::Free, free, "{case}");
        if decision == RollBack {
            shop.is_left_as(&bench, RolledBack, 0).await;
        }
    }
}

/// The repair had begun, and nobody knows how far it came.
#[tokio::test]
async fn a_repair_that_never_settled_must_be_live_to_be_adopted() {
    for (db, outcome) in [("db", Outcome::Stuck), ("db+", Outcome::Released)] {
        let shop = Shop::needing(1, SameChange);
        let applied = |body: &Body| matches!(body, Body::Applied { .. });
        let (bench, report) =
            interrupted(&shop, OnInterrupt::LeaveForResume, nth(1, applied)).await;
        assert_eq!(stages(&bench, applying).await, ["fake", "repair"], "{report:?}");
        shop.app.lock().live = "v2".into();
        shop.db.lock().live = db.into();
        let run = report.run.unwrap();
        let decision = Some(Decision::Adopt);
        let report = bench.engine().reconcile(&shop.pipeline(), run, decision, "because").await;
        assert_eq!(report.outcome, outcome, "{db}: {report:?}");
    }
}

/// `v1` is released, and after it `v2` with a recovery.
async fn released(then: Then) -> (Bench, Shop) {
    let (bench, shop) = (Bench::new(), Shop::needing(1, then));
    shop.app.lock().live = "v0".into();
    let needs = std::mem::take(&mut shop.app.lock().apply);
    let report = bench.engine().ship(&shop.pipeline(), candidate("v1")).await;
    assert_eq!(report.outcome, Outcome::Released, "{report:?}");
    shop.app.lock().apply = needs;
    let report = bench.engine().ship(&shop.pipeline(), candidate("v2")).await;
    assert_eq!(report.outcome, Outcome::Released, "{report:?}");
    assert_eq!(shop.live(), ("v2".into(), "db+".into()));
    (bench, shop)
}

#[tokio::test]
async fn a_rollback_undoes_the_recoveries_of_a_release_too() {
    for then in [SameChange, gatekit_core::Replan] {
        let (bench, shop) = released(then).await;
        let report = bench.engine().roll_back(&shop.pipeline(), None, "v2 is broken").await;
        assert_eq!(report.outcome, Outcome::Released, "{report:?}");
        assert_eq!(shop.live(), ("v1".into(), "db".into()));
        assert_eq!(stages(&bench, rolled_back).await, ["fake", "repair", "fake"]);
        audit(&bench, &[&shop.app, &shop.db]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_of_a_release_with_a_recovery_that_dies_at_any_append_is_finished() {
    for at in 1.. {
        let (bench, shop) = released(gatekit_core::Replan).await;
        let ledger = failing(&bench, at);
        let dying = engine(Arc::clone(&ledger) as _);
        let report = dying.roll_back(&shop.pipeline(), None, "v2 is broken").await;
        if ledger.dead().is_ok() {
            assert_eq!(report.outcome, Outcome::Released, "{report:?}");
            assert!(at > 8, "{at} appends");
            break;
        }
        assert_ne!(report.outcome, Outcome::Released, "{report:?}");
        bench.leases_lapse();
        // It may have died before it was opened.
        let run = report.run.filter(|_| at > 1);
        let report = match run {
            Some(run) => bench.engine().resume(&shop.pipeline(), run).await,
            None => bench.engine().roll_back(&shop.pipeline(), None, "again").await,
        };
        assert_eq!(report.outcome, Outcome::Released, "{at}: {report:?}");
        assert_eq!(shop.live(), ("v1".into(), "db".into()), "{at}");
        let undone = stages(&bench, rolled_back).await;
        assert_eq!(undone, ["fake", "repair", "fake"], "{at}: each once, none left out");
        audit(&bench, &[&shop.app, &shop.db]).await;
    }
}

/// The rollback was left between the app and the repair.
#[tokio::test]
async fn a_rollback_of_a_recovery_is_settled_by_where_everything_stands() {
    use Decision::{Adopt, ConfirmOld, RollBack};
    for (decision, (app, db), outcome) in [
        (Adopt, ("v1", "db+"), Outcome::Stuck),
        (Adopt, ("v1", "db"), Outcome::Released),
        (ConfirmOld, ("v1", "db+"), Outcome::Stuck),
        (ConfirmOld, ("v2", "db+ moved on"), Outcome::RolledBack),
        (RollBack, ("v1", "db+"), Outcome::Released),
    ] {
        let (bench, shop) = released(SameChange).await;
        shop.db.lock().rollback_fails = true;
        let report = bench.engine().roll_back(&shop.pipeline(), None, "v2 is broken").await;
        assert_eq!((report.outcome, shop.live()), (Outcome::Stuck, ("v1".into(), "db+".into())));
        shop.db.lock().rollback_fails = false;
        shop.app.lock().live = app.into();
        shop.db.lock().live = db.into();
        let run = report.run.unwrap();
        let report =
            bench.engine().reconcile(&shop.pipeline(), run, Some(decision), "because").await;
        assert_eq!(report.outcome, outcome, "{decision:?} {app} {db}: {report:?}");
        if outcome == Outcome::Released {
            assert_eq!(shop.live(), ("v1".into(), "db".into()));
        }
    }
}

#[tokio::test]
async fn a_release_with_a_repair_that_cannot_be_undone_is_not_rolled_back() {
    let (bench, shop) = released(SameChange).await;
    let irreversible = on(BOOM).deploy(shop.repair()).irreversible("rows are gone");
    let irreversible = shop.deployed().recover(irreversible.then(SameChange)).build().unwrap();
    let without = shop.deployed().build().unwrap();
    shop.db.lock().one_way = Some("a table is gone".into());
    for pipeline in [irreversible, without, shop.pipeline()] {
        let report = bench.engine().roll_back(&pipeline, None, "why").await;
        assert_eq!(report.outcome, Outcome::Refused, "{report:?}");
        assert_eq!(report.failure.unwrap().code, code::ROLLBACK_ONE_WAY);
        assert_eq!(shop.live(), ("v2".into(), "db+".into()));
    }
}
