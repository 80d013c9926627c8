//! The public suite of gates on the gate on alarms.

use std::sync::Mutex;

use async_trait::async_trait;
use gatekit_aws::cloudwatch::Alarms;
use gatekit_core::{Digest, PlanContext};
use gatekit_emulators::{Alarm, AlarmState, Aws as Account};
use gatekit_testkit::conformance::gate::{self, Capability, GateSubject, GateWorld, Scene};

use super::{account, gate};

#[derive(Debug)]
struct OfAlarms;

#[async_trait]
impl GateSubject for OfAlarms {
    type World = World;

    fn capability(&self) -> Capability {
        Capability::new().with_empty()
    }

    async fn world(&self) -> World {
        let world = World(account(), Mutex::new(Scene::Passes));
        world.show(Scene::Passes).await;
        world
    }
}

#[derive(Debug)]
struct World(Account, Mutex<Scene>);

#[async_trait]
impl GateWorld for World {
    type Gate = Alarms;

    fn gate(&self) -> Alarms {
        gate(&self.0, &["web"])
    }

    /// The run is opened, and then the alarm fires.
    fn context(&self, plan: PlanContext) -> PlanContext {
        if *self.1.lock().unwrap() == Scene::Fails {
            self.0.put_alarm(Alarm::metric("web"));
            self.0.turn_alarm("web", AlarmState::Alarm);
        }
        plan
    }

    async fn show(&self, scene: Scene) {
        *self.1.lock().unwrap() = scene;
        let alarm = Alarm::metric("web");
        self.0.put_alarm(match scene {
            Scene::Passes | Scene::Fails => alarm,
            Scene::Empty => alarm.first(AlarmState::InsufficientData),
            _ => alarm.evaluated_badly("EVALUATION_ERROR"),
        });
    }

    async fn trace(&self) -> Digest {
        let calls = self.0.calls();
        let writes = calls.iter().filter(|it| !it.operation.starts_with("Describe"));
        Digest::of(writes.count().to_string())
    }

    fn secrets(&self) -> Vec<String> {
        vec!["CANARY-secret-key".to_owned()]
    }
}

#[tokio::test]
async fn a_gate_on_alarms_conforms() {
    gate::all(&OfAlarms).await;
}
