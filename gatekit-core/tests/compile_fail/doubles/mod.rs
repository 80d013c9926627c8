// A gate, three deployers and a rollback for the first of them, as short as they can be.
// The programs beside this folder include it by path.

use async_trait::async_trait;
use gatekit_core::{
    ApplyContext, Deployer, Digest, Evidence, Gate, Live, Location, PlanContext, Planned, Result,
    Reversibility, Rollback, Rollout, StageId, Verdict,
};
use serde_json::{Value, json};

#[derive(Debug)]
pub(crate) struct Green;

#[async_trait]
impl Gate for Green {
    fn id(&self) -> StageId {
        StageId::new("green").unwrap()
    }

    fn describe(&self) -> Value {
        json!({})
    }

    async fn check(&self, _: &PlanContext) -> Result<Verdict> {
        Ok(Verdict::pass([Evidence::read("here", b"ok", json!({}))]))
    }
}

macro_rules! deployer {
    ($name:ident) => {
        #[derive(Debug)]
        pub(crate) struct $name;

        #[async_trait]
        impl Deployer for $name {
            type Change = String;
            type Receipt = String;

            fn id(&self) -> StageId {
                StageId::new(stringify!($name).to_lowercase()).unwrap()
            }

            fn describe(&self) -> Value {
                json!({})
            }

            async fn plan(&self, _: &PlanContext) -> Result<Planned<String>> {
                Ok(Planned {
                    change: String::new(),
                    scope: Digest::of(b""),
                    summary: String::new(),
                })
            }

            async fn apply(
                &self,
                cx: &ApplyContext,
                _: &String,
                _: Option<&String>,
            ) -> Result<String> {
                let _permit = cx.permit("write").await?;
                Ok(String::new())
            }

            async fn observe(&self, _: &PlanContext, _: &String, _: &String) -> Result<Rollout> {
                Ok(Rollout::Settled)
            }

            async fn locate(
                &self,
                _: &PlanContext,
                _: &String,
                _: Option<&String>,
            ) -> Result<Location> {
                Ok(Location::After)
            }

            async fn live(&self, _: &PlanContext) -> Result<Option<Live>> {
                Ok(None)
            }
        }
    };
}

deployer!(Service);
deployer!(Database);
deployer!(Repair);

/// For `Service` only.
#[derive(Debug)]
pub(crate) struct Undo;

#[async_trait]
impl Rollback<Service> for Undo {
    fn reversibility(&self, _: &String) -> Reversibility {
        Reversibility::Free
    }

    async fn roll_back(&self, _: &ApplyContext, _: &String, _: Option<&String>) -> Result<()> {
        Ok(())
    }

    async fn observe_back(
        &self,
        _: &PlanContext,
        _: &String,
        _: Option<&String>,
    ) -> Result<Rollout> {
        Ok(Rollout::Settled)
    }
}
