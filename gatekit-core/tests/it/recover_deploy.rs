//! Recoveries: which failures are repaired, how often, and what comes after.

use gatekit_core::ledger::Body;
use gatekit_core::{
    Code, Digest, Live, Location, Outcome, Pipeline, Replan, Rollout, RunReport, SameChange, code,
    enforced, on,
};

use crate::ledgers::{Hook, audit, failing_watched, watched};
use crate::repair::*;
use crate::world::*;

#[tokio::test]
async fn a_known_failure_is_repaired_and_the_deploy_tried_again() {
    for then in [Replan, SameChange] {
        let shop = Shop::needing(1, then);
        let (bench, report) = ship(&shop).await;
        assert_eq!(report.outcome, Outcome::Released, "{report:?}");
        shop.is_left_as(&bench, Outcome::Released, 1).await;
        assert_eq!(
            report.live,
            Some(Live::new("v2", Some("v2".into()))),
            "the app, not the repair"
        );
        let (repair, again) = (
            ["recovering", "applying", "calling", "applied", "settled"],
            ["applying", "calling", "applied", "settled", "verdict", "closed"],
        );
        let kinds = [&["opened", "granted", "applying", "stage_failed"][..], &repair, &again];
        assert_eq!(bench.kinds().await, kinds.concat());
        assert_eq!(stages(&bench, applying).await, ["fake", "repair", "fake"]);
        audit(&bench, &[&shop.app, &shop.db]).await;
    }
}

#[tokio::test]
async fn the_journal_tells_what_was_repaired_and_what_that_would_touch() {
    let (bench, _) = ship(&Shop::needing(1, Replan)).await;
    let recovering = bench.bodies().await.into_iter().find_map(|body| match body {
        Body::Recovering { stage, recovery, attempt, then, scope } => {
            Some((stage.to_string(), recovery.to_string(), attempt, then, scope))
        }
        _ => None,
    });
    let (stage, recovery, attempt, then, scope) = recovering.unwrap();
    assert_eq!((&*stage, &*recovery, attempt, then), ("fake", "repair", 1, Replan));
    assert_eq!(scope.stage.as_str(), "repair");
    assert_eq!((scope.scope, &*scope.summary), (Digest::of("repair 0"), "db is repaired"));
}

fn not_recovered(report: &RunReport) -> &str {
    let failure = report.failure.as_ref().unwrap();
    assert_eq!(failure.code, BOOM, "the failure of the run is that of its deploy: {failure}");
    let why = failure.context.iter().find(|(name, _)| name == "not recovered");
    why.map_or("", |(_, why)| why)
}

async fn unwound_unrepaired(shop: &Shop) -> String {
    let (bench, report) = ship(shop).await;
    shop.is_left_as(&bench, report.outcome, 0).await;
    assert_eq!(report.outcome, Outcome::RolledBack);
    assert!(shop.db.writes().is_empty());
    assert!(!bench.kinds().await.contains(&"recovering"));
    not_recovered(&report).to_owned()
}

#[tokio::test]
async fn a_failure_that_no_recovery_is_for_unwinds() {
    let mut shop = Shop::needing(1, Replan);
    shop.on = Code::new("test.other");
    assert_eq!(unwound_unrepaired(&shop).await, "");
}

#[tokio::test]
async fn a_recovery_is_for_the_deploys_before_it_in_its_pipeline_or_group() {
    let back = |world: &World| Back(world.clone());
    for (inside, after, repaired) in
        [(true, true, true), (true, false, false), (false, true, true), (false, false, false)]
    {
        let (bench, shop, other) =
            (Bench::new(), Shop::needing(1, SameChange), World::with_live("v1"));
        let builder = Pipeline::to(TARGET);
        let builder = match (inside, after) {
            // In the group of the deploy.
            (true, true) => builder.group("shop", |p| {
                p.deploy(fake(&shop.app)).rollback_with(back(&shop.app)).recover(shop.recovery())
            }),
            // In another group than the deploy.
            (true, false) => builder
                .group("app", |p| p.deploy(fake(&shop.app)).rollback_with(back(&shop.app)))
                .group("shop", |p| {
                    let other = p.deploy(fake(&other)).rollback_with(back(&other));
                    other.recover(shop.recovery())
                }),
            // Around the group of the deploy.
            (false, true) => builder
                .group("app", |p| p.deploy(fake(&shop.app)).rollback_with(back(&shop.app)))
                .recover(shop.recovery()),
            // Before the deploy.
            (false, false) => builder
                .deploy(Fake { id: "other", world: other.clone() })
                .rollback_with(back(&other))
                .recover(shop.recovery())
                .deploy(fake(&shop.app))
                .rollback_with(back(&shop.app)),
        };
        let report = bench.engine().ship(&builder.build().unwrap(), candidate("v2")).await;
        let expected = if repaired { Outcome::Released } else { Outcome::RolledBack };
        assert_eq!(report.outcome, expected, "{inside} {after}: {report:?}");
        shop.is_left_as(&bench, expected, 1).await;
        if inside && after {
            assert_eq!(stages(&bench, recovering).await, ["shop/repair"]);
            let told = shop.db.lock().stages.iter().cloned().collect::<Vec<_>>();
            assert_eq!(told, ["shop/repair"]);
        }
    }
}

#[tokio::test]
async fn a_recovery_runs_at_most_so_often_and_what_is_used_up_unwinds_newest_first() {
    let shop = Shop::needing(2, Replan).at_most(2);
    let (bench, report) = ship(&shop).await;
    assert_eq!(report.outcome, Outcome::Released, "{report:?}");
    shop.is_left_as(&bench, Outcome::Released, 2).await;

    let shop = Shop::needing(3, SameChange).at_most(2);
    let (bench, report) = ship(&shop).await;
    assert_eq!(report.outcome, Outcome::RolledBack, "{report:?}");
    assert!(not_recovered(&report).contains("as often as it may"), "{report:?}");
    shop.is_left_as(&bench, Outcome::RolledBack, 0).await;
    assert_eq!(shop.db.writes(), ["repair:db+", "repair:db++", "back:db+", "back:db"]);
    let undone = ["fake", "repair", "fake", "repair", "fake"];
    assert_eq!(stages(&bench, rolled_back).await, undone);
    let attempts = |body: &Body| match body {
        Body::Recovering { attempt, .. } => Some(*attempt),
        _ => None,
    };
    let attempts: Vec<_> = bench.bodies().await.iter().filter_map(attempts).collect();
    assert_eq!(attempts, [1, 2]);
}

#[tokio::test]
async fn of_several_recoveries_the_first_is_taken_that_is_not_used_up() {
    let (bench, shop) = (Bench::new(), Shop::needing(3, SameChange));
    let more = |id: &'static str| {
        let recovery = on(BOOM).deploy(repair(id, &shop.db));
        recovery.rollback_with(Back(shop.db.clone())).then(SameChange)
    };
    let pipeline = Pipeline::to(TARGET)
        .group("app", |p| {
            let app = p.deploy(fake(&shop.app)).rollback_with(Back(shop.app.clone()));
            app.recover(more("inner"))
        })
        .recover(more("outer").at_most(2))
        .build()
        .unwrap();
    let report = bench.engine().ship(&pipeline, candidate("v2")).await;
    assert_eq!(report.outcome, Outcome::Released, "{report:?}");
    assert_eq!(stages(&bench, recovering).await, ["app/inner", "outer", "outer"]);
}

#[tokio::test]
async fn a_repair_that_fails_itself_unwinds_and_is_not_repaired() {
    for apply in [Apply::Refuses, Apply::LosesAnswer, Apply::Panics] {
        let shop = Shop::needing(1, Replan).at_most(5);
        shop.db.lock().apply = apply.clone();
        let (bench, report) = ship(&shop).await;
        assert_eq!(report.outcome, Outcome::RolledBack, "{apply:?}: {report:?}");
        assert!(not_recovered(&report).starts_with("`repair`: "), "{report:?}");
        shop.is_left_as(&bench, Outcome::RolledBack, 0).await;
        assert_eq!(stages(&bench, recovering).await, ["repair"], "{apply:?}: once");
        assert_eq!(stages(&bench, rolled_back).await, ["repair", "fake"]);
    }
}

#[tokio::test]
async fn a_repair_that_cannot_be_planned_or_undone_is_refused_before_its_first_write() {
    let shop = Shop::needing(1, Replan);
    shop.db.lock().plan_fails = true;
    assert!(unwound_unrepaired(&shop).await.contains("boom"));
    let shop = Shop::needing(1, SameChange);
    shop.db.lock().one_way = Some("drops a table".into());
    assert!(unwound_unrepaired(&shop).await.contains("drops a table"));
}

#[tokio::test]
async fn an_irreversible_repair_is_where_unwinding_stops() {
    for (after, outcome) in [(Says::Pass, Outcome::Released), (Says::Fail, Outcome::Stuck)] {
        let (bench, shop) = (Bench::new(), Shop::needing(1, SameChange));
        let recovery = on(BOOM).deploy(shop.repair()).irreversible("rows are gone");
        let pipeline = shop
            .deployed()
            .recover(recovery.then(SameChange))
            .verify(enforced(gate("after", [after])))
            .build()
            .unwrap();
        let report = bench.engine().ship(&pipeline, candidate("v2")).await;
        assert_eq!(report.outcome, outcome, "{report:?}");
        assert_eq!(shop.db.live(), "db+");
        if outcome == Outcome::Stuck {
            assert_eq!(report.failure.unwrap().code, code::DEPLOY_IRREVERSIBLE);
            assert_eq!(shop.app.live(), "v1", "what came after it is undone");
        }
    }
}

#[tokio::test]
async fn what_is_tried_again_depends_on_where_the_failed_deploy_stands() {
    let elsewhere = Location::Elsewhere(Live::new("theirs", None));
    for (location, replan, same) in [
        (Location::Before, true, true),
        (Location::After, false, true),
        (Location::Between("half".into()), false, true),
        (elsewhere, false, false),
        (Location::Unknown("gone".into()), false, false),
    ] {
        for (then, allowed) in [(Replan, replan), (SameChange, same)] {
            let shop = Shop::needing(1, then).when_repaired(|app| app.lock().located = None);
            let (bench, app, found) = (Bench::new(), shop.app.clone(), location.clone());
            // From the first try on.
            let engine = watched(&bench, move |body| {
                let begins = applying(body).is_some_and(|stage| stage.as_str() == "fake");
                if begins && app.lock().earlier.is_empty() {
                    app.lock().located = Some(found.clone());
                }
            });
            let report = engine.ship(&shop.pipeline(), candidate("v2")).await;
            let repaired = bench.kinds().await.contains(&"recovering");
            assert_eq!(repaired, allowed, "{then:?} {location:?}: {report:?}");
            assert_eq!(report.outcome == Outcome::Released, allowed, "{report:?}");
            assert_eq!(shop.db.writes().is_empty(), !allowed);
        }
    }
}

/// The write of the change that is given up was only slow: planned anew, it would pass for something
/// that had been there before.
#[tokio::test]
async fn nothing_is_planned_anew_when_the_failed_change_landed_late() {
    let shop = Shop::needing(1, Replan).when_repaired(|app| app.lock().live = "v2".into());
    let (bench, report) = ship(&shop).await;
    assert_eq!(report.outcome, Outcome::RolledBack, "{report:?}");
    assert!(not_recovered(&report).contains("after the change"), "{report:?}");
    assert_eq!(stages(&bench, applying).await, ["fake", "repair"]);
    shop.is_left_as(&bench, Outcome::RolledBack, 0).await;
}

#[tokio::test]
async fn a_plan_anew_takes_the_before_state_that_the_repair_left() {
    let shop = Shop::needing(1, Replan).when_repaired(|app| app.lock().live = "v1-mended".into());
    let (bench, report) = ship(&shop).await;
    assert_eq!(report.outcome, Outcome::Released, "{report:?}");
    let change = |body: &Body| match body {
        Body::Applying { stage, change } if stage.as_str() == "fake" => Some(change.to_string()),
        _ => None,
    };
    let changes: Vec<_> = bench.bodies().await.iter().filter_map(change).collect();
    assert_eq!(changes, [r#"["v1","v2"]"#, r#"["v1-mended","v2"]"#]);
}

/// Approvals are for the scope that was granted.
#[tokio::test]
async fn a_plan_anew_with_another_scope_is_refused() {
    let shop = Shop::needing(1, Replan).when_repaired(|app| app.lock().scope_salt = 1);
    let (bench, report) = ship(&shop).await;
    assert_eq!(report.outcome, Outcome::RolledBack, "{report:?}");
    assert_eq!(report.failure.as_ref().unwrap().code, code::PLAN_CHANGED);
    assert_eq!(stages(&bench, applying).await, ["fake", "repair"], "nothing was tried again");
    shop.is_left_as(&bench, Outcome::RolledBack, 0).await;
}

#[tokio::test]
async fn a_plan_anew_that_could_not_be_undone_is_refused() {
    let shop = Shop::needing(1, Replan)
        .when_repaired(|app| app.lock().one_way = Some("drops a table".into()));
    let (bench, report) = ship(&shop).await;
    assert_eq!(report.failure.as_ref().unwrap().code, code::ROLLBACK_ONE_WAY, "{report:?}");
    assert_eq!(stages(&bench, applying).await, ["fake", "repair"]);
    shop.is_left_as(&bench, Outcome::RolledBack, 0).await;
}

/// What the first try was told of its effect is what a second one looks for first: also in another
/// process, when the one that began it died before its write.
#[tokio::test]
async fn the_same_change_is_tried_again_with_its_receipt_and_a_new_plan_without() {
    for (then, receipt) in [(SameChange, Some("v2".to_owned())), (Replan, None)] {
        for dies in [false, true] {
            let mut shop = Shop::needing(0, then).when_repaired(|app| {
                let mut state = app.lock();
                (state.located, state.live) = (None, "v1".into());
                state.rollouts.clear();
            });
            shop.on = code::DEPLOY_FAILED;
            shop.app.lock().rollouts = [Rollout::Failed("no capacity".into())].into();
            let (bench, app) = (Bench::new(), shop.app.clone());
            let vanishes = nth(1, |body| matches!(body, Body::Applied { .. }));
            // The second try of the app is its twelfth entry.
            let at = if dies { 13 } else { usize::MAX };
            let ledger = failing_watched(&bench, at, move |body| {
                if vanishes(body) {
                    app.lock().located = Some(Location::Before);
                }
            });
            let mut report = engine(ledger).ship(&shop.pipeline(), candidate("v2")).await;
            let mut expected = vec![None, receipt.clone()];
            if dies {
                assert_eq!(bench.kinds().await.last(), Some(&"applying"), "{report:?}");
                expected.push(receipt.clone());
                bench.leases_lapse();
                report = bench.engine().resume(&shop.pipeline(), report.run.unwrap()).await;
            }
            assert_eq!(report.outcome, Outcome::Released, "{then:?} {dies}: {report:?}");
            assert_eq!(shop.app.lock().earlier, expected, "{then:?} {dies}");
        }
    }
}

/// The plan anew wants something else than the first one: only that has to be live.
#[tokio::test]
async fn a_change_that_was_given_up_does_not_count_for_the_release() {
    let shop = Shop::needing(1, Replan).when_repaired(|app| app.lock().live = "v1-mended".into());
    let (bench, back) = (Bench::new(), Back(shop.app.clone()));
    let pipeline = Pipeline::to(TARGET)
        .deploy(repair("adds", &shop.app))
        .rollback_with(back)
        .recover(shop.recovery())
        .build()
        .unwrap();
    let report = bench.engine().ship(&pipeline, candidate("v2")).await;
    assert_eq!(report.outcome, Outcome::Released, "{report:?}");
    assert_eq!(shop.app.live(), "v1-mended+");
}

#[tokio::test]
async fn what_comes_after_a_recovery_is_planned_after_it() {
    let (bench, next) = (Bench::new(), World::with_live("n1"));
    let shop = Shop::needing(1, SameChange);
    let moved = next.clone();
    let shop = shop.when_repaired(move |_| moved.lock().live = "n1-mended".into());
    let pipeline = shop
        .deployed()
        .recover(shop.recovery())
        .deploy(Fake { id: "next", world: next.clone() })
        .rollback_with(Back(next.clone()))
        .verify(enforced(gate("after", [Says::Fail])))
        .build()
        .unwrap();
    let report = bench.engine().ship(&pipeline, candidate("v2")).await;
    assert_eq!(report.outcome, Outcome::RolledBack, "{report:?}");
    assert_eq!(next.live(), "n1-mended", "it goes back to where it came from");
}

/// A release is what the candidate's own deploys and the verification say.
#[tokio::test]
async fn what_was_repaired_may_be_overwritten_by_what_it_was_repaired_for() {
    let (bench, shop) = (Bench::new(), Shop::needing(1, SameChange));
    let db = shop.db.clone();
    let mut overwrites = repair("overwrites", &World::with_live("x"));
    overwrites.wrote = Hook::new(move |()| db.lock().live = "db+ moved on".into());
    let pipeline = shop
        .deployed()
        .recover(shop.recovery())
        .deploy(overwrites)
        .irreversible("never undone here")
        .build()
        .unwrap();
    let report = bench.engine().ship(&pipeline, candidate("v2")).await;
    assert_eq!(report.outcome, Outcome::Released, "{report:?}");
}

#[test]
fn a_recovery_that_could_never_run_is_told_when_the_pipeline_is_built() {
    let shop = Shop::needing(1, Replan);
    let mistake = |recovery| shop.deployed().recover(recovery).build().unwrap_err();
    let mut cases = vec![mistake(shop.recovery().at_most(0))];
    for code in [code::LOCK_LOST, code::DEPLOY_PAUSE_REJECTED] {
        let recovery = on(code).deploy(shop.repair()).irreversible("why");
        cases.push(mistake(recovery.then(Replan)));
    }
    let no_deploy = shop.deployed().group("web", |p| p.recover(shop.recovery())).build();
    cases.push(no_deploy.unwrap_err());
    for error in cases {
        assert_eq!(error.code(), &code::CONFIG_PIPELINE, "{error}");
    }
    let twice = shop.deployed().recover(shop.recovery()).recover(shop.recovery()).build();
    assert_eq!(twice.unwrap_err().code(), &code::CONFIG_DUPLICATE_STAGE);
}

#[test]
fn a_recovery_is_a_part_of_the_fingerprint() {
    let shop = Shop::needing(1, Replan);
    let with = |recovery| shop.deployed().recover(recovery).build().unwrap();
    let irreversible = on(BOOM).deploy(shop.repair()).irreversible("why").then(Replan);
    let mut prints = vec![
        shop.deployed().build().unwrap(),
        with(shop.recovery()),
        with(shop.recovery().at_most(2)),
        with(irreversible),
        with(Shop { then: SameChange, ..shop.clone() }.recovery()),
        with(Shop { on: code::DEPLOY_FAILED, ..shop.clone() }.recovery()),
    ];
    let count = prints.len();
    prints.sort_by_key(|pipeline| pipeline.fingerprint().to_string());
    prints.dedup_by_key(|pipeline| pipeline.fingerprint().to_string());
    assert_eq!(prints.len(), count);
    assert_eq!(with(shop.recovery()).fingerprint(), with(shop.recovery()).fingerprint());
}
