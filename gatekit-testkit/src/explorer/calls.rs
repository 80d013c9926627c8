//! The stages of a path: their calls fail where the script says so.

use async_trait::async_trait;
use gatekit_core::testing::{Call, Fate, Interceptor};
use gatekit_core::{Code, Effect, Error, StageId};
use serde_json::Value;

use super::control::Actor;
use super::script::Kind;

const BROKEN: Code = Code::new("explorer.fault");

/// Stands between the engine and the stages.
#[derive(Debug)]
pub(super) struct FaultyCalls(pub(super) Actor);

#[async_trait]
impl Interceptor for FaultyCalls {
    async fn before(
        &self,
        stage: &StageId,
        call: Call,
        change: Option<&Value>,
        receipt: Option<&Value>,
    ) -> Fate {
        self.0.look();
        match self.0.call(stage, call, change, receipt) {
            Some(Kind::Fail) => {
                let error = Error::new(BROKEN, format!("`{call}` of `{stage}` was not made"));
                return Fate::Fails(error.with_effect(Effect::None));
            }
            Some(Kind::LoseAnswer) => {
                let error = format!("the answer to `{call}` of `{stage}` was lost");
                return Fate::LosesAnswer(Error::new(BROKEN, error).with_effect(Effect::Unknown));
            }
            Some(Kind::Repeat) => return Fate::HappensTwice,
            Some(Kind::Intrude) => self.0.control.intrude(),
            Some(kind @ (Kind::Interrupt | Kind::LetGo)) => {
                self.0.interrupt(if kind == Kind::LetGo { 2 } else { 1 });
                // What may be dropped is dropped here.
                tokio::task::yield_now().await;
            }
            _ => {}
        }
        Fate::Happens
    }

    async fn after(&self, stage: &StageId, call: Call) {
        self.0.called(stage, call);
    }
}
