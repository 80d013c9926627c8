//! Contexts outside an engine.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use gatekit_core::ledger::Hold;
use gatekit_core::testing::{apply_context, overheard, plan_context};
use gatekit_core::{Candidate, Event, EventBody, PlanContext, Reporter, StageId, code};

use crate::world::{Bench, target};

const LEASE: Duration = Duration::from_secs(60);

fn plan() -> PlanContext {
    plan_context(&target(), Candidate::new(), &StageId::new("fake").unwrap(), LEASE)
}

#[tokio::test]
async fn a_run_that_gets_no_lock_does_not_stay_in_the_queue() {
    let (bench, first, second) = (Bench::new(), plan(), plan());
    let held = apply_context(&first, Arc::clone(&bench.ledger), LEASE).await.unwrap();
    for refused in [&first, &second] {
        let error = apply_context(refused, Arc::clone(&bench.ledger), LEASE).await.unwrap_err();
        assert_eq!(error.code(), &code::LOCK_HELD);
    }
    assert!(bench.state().await.queue.is_empty());
    let hold = Hold::new(target(), held.run(), held.fence().unwrap(), LEASE);
    assert!(bench.ledger.release(&hold).await.unwrap());
    let again = apply_context(&first, Arc::clone(&bench.ledger), LEASE).await.unwrap();
    assert_eq!(again.run(), held.run());
    assert!(again.fence().unwrap() > held.fence().unwrap(), "as a run that is resumed");
    assert_eq!(held.permit("write").await.unwrap_err().code(), &code::LOCK_LOST);
}

#[derive(Debug)]
struct Tells(mpsc::Sender<String>);

impl Reporter for Tells {
    fn event(&mut self, event: &Event) {
        if let EventBody::Progress { message, .. } = &event.event {
            self.0.send(message.clone()).unwrap();
        }
    }
}

#[test]
fn progress_is_overheard() {
    let (sender, receiver) = mpsc::channel();
    overheard(plan(), Tells(sender)).progress("half of it");
    assert_eq!(receiver.recv_timeout(LEASE).unwrap(), "half of it");
}
