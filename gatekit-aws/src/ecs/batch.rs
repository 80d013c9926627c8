//! Services described many at a time: what is asked while a call waits for its turn goes along with it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_sdk_ecs::Client;
use aws_sdk_ecs::types::Service;
use gatekit_core::{Error, Result};
use tokio::sync::oneshot;

use super::names::NAMES;
use crate::call::{lacking, unread};
use crate::operations::DESCRIBE_SERVICES;
use crate::pace::Paces;

/// The most services of one call.
const MOST: usize = 10;

/// `None` when the cluster has no such service.
type Answer = Result<Option<Service>>;

/// By cluster, which service, and whom to tell.
type Asking = BTreeMap<String, Vec<(String, oneshot::Sender<Answer>)>>;

#[derive(Debug, Clone)]
pub(super) struct Batch {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    client: Client,
    paces: Arc<Paces>,
    /// By cluster, those who ask; a cluster that is here has a task that asks for them.
    asking: Mutex<Asking>,
}

impl Batch {
    pub(super) fn new(client: Client, paces: Arc<Paces>) -> Self {
        Self { shared: Arc::new(Shared { client, paces, asking: Mutex::default() }) }
    }

    /// Reads a service afresh. Cancel-safe.
    pub(super) async fn describe(&self, cluster: &str, service: &str) -> Answer {
        let (tell, told) = oneshot::channel();
        let is_first = {
            let mut asking = self.shared.asking();
            let is_first = !asking.contains_key(cluster);
            asking.entry(cluster.to_owned()).or_default().push((service.to_owned(), tell));
            is_first
        };
        if is_first {
            // A task of its own: who asked first may go away, and the others wait still.
            let asker = Asker {
                shared: Arc::clone(&self.shared),
                cluster: cluster.to_owned(),
                is_asking: true,
            };
            tokio::spawn(asker.ask());
        }
        // Only when the runtime of that task has ended.
        told.await.unwrap_or_else(|_| Err(lacking(DESCRIBE_SERVICES, "an answer at all")))
    }
}

impl Shared {
    fn asking(&self) -> MutexGuard<'_, Asking> {
        self.asking.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn describe(&self, cluster: &str, services: &[String]) -> Result<Described> {
        let call = self.client.describe_services().cluster(cluster);
        let answer = call.set_services(Some(services.to_vec())).send().await;
        let answer = answer.map_err(|error| unread(DESCRIBE_SERVICES, error, NAMES))?;
        let failures = answer.failures.unwrap_or_default().into_iter();
        let missing = failures.filter(|it| it.reason() == Some("MISSING"));
        Ok(Described {
            services: answer.services.unwrap_or_default(),
            missing: missing.filter_map(|it| it.arn).collect(),
        })
    }
}

/// Asks for everybody who asks about one cluster, until nobody does.
struct Asker {
    shared: Arc<Shared>,
    cluster: String,
    is_asking: bool,
}

impl Asker {
    async fn ask(mut self) {
        // Before its turn: one that nobody needs is one less for those who come next.
        while self.somebody_waits() {
            self.shared.paces.services.turn().await;
            let turn: Vec<_> = {
                let mut asking = self.shared.asking();
                let waiting = asking.entry(self.cluster.clone()).or_default();
                waiting.retain(|(_, tell)| !tell.is_closed());
                waiting.drain(..waiting.len().min(MOST)).collect()
            };
            // They have all gone away meanwhile.
            if turn.is_empty() {
                continue;
            }
            let mut names: Vec<_> = turn.iter().map(|(name, _)| name.clone()).collect();
            names.sort_unstable();
            names.dedup();
            let mut answer = self.shared.describe(&self.cluster, &names).await;
            // One of them may be what the whole call is refused for.
            if names.len() > 1 && answer.as_ref().is_err_and(|error| !error.is_temporary()) {
                for (name, tell) in turn {
                    self.shared.paces.services.turn().await;
                    answer = self.shared.describe(&self.cluster, std::slice::from_ref(&name)).await;
                    let _ = tell.send(of(&answer, &name));
                }
                continue;
            }
            for (name, tell) in turn {
                // Who went away does not want it.
                let _ = tell.send(of(&answer, &name));
            }
        }
    }

    /// Whether anybody does; otherwise the next who asks begins anew.
    fn somebody_waits(&mut self) -> bool {
        let mut asking = self.shared.asking();
        let waiting = asking.entry(self.cluster.clone()).or_default();
        waiting.retain(|(_, tell)| !tell.is_closed());
        if waiting.is_empty() {
            asking.remove(&self.cluster);
            self.is_asking = false;
        }
        self.is_asking
    }
}

impl Drop for Asker {
    /// When the runtime ends in mid-call: the next who asks begins anew.
    fn drop(&mut self) {
        if self.is_asking {
            self.shared.asking().remove(&self.cluster);
        }
    }
}

/// What ECS answered.
#[derive(Debug)]
struct Described {
    services: Vec<Service>,
    /// By ARN.
    missing: Vec<String>,
}

/// The name at the end of an ARN.
fn last(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

/// What an answer says of one service.
fn of(answer: &Result<Described>, name: &str) -> Answer {
    match answer {
        Ok(Described { services, missing }) => {
            let found = services.iter().find(|it| is(it, name)).cloned();
            let is_missing = || missing.iter().any(|arn| last(arn) == last(name));
            // An answer that tells neither is no answer.
            if found.is_none() && !is_missing() {
                return Err(lacking(DESCRIBE_SERVICES, "the service that was asked for"));
            }
            Ok(found)
        }
        Err(error) => Err(Error::from(error.to_failure())),
    }
}

/// Whether that is the service of that name or ARN.
fn is(service: &Service, name: &str) -> bool {
    service.service_name.as_deref() == Some(name) || service.service_arn.as_deref() == Some(name)
}
