//! `apply`, killed at every permit, and what it says then.

use gatekit_core::{Effect, Error, Location};

use super::applying::cannot_tell;
use super::bench::{Bench, Write, told};
use super::subject::{DeployerSubject, DeployerWorld as _, Release, Start, Truth};
use crate::conformance::contract::{self, broken, holds, unfit};
use crate::conformance::ration::Death;

/// Up to how many permits of one call it is killed at.
const PERMITS: usize = 64;

/// How many permits a call gets before it is killed, one more each time.
pub(crate) fn walk() -> impl Iterator<Item = usize> {
    (0..=PERMITS).inspect(|permits| {
        if *permits == PERMITS {
            unfit(format_args!("a call of it asks for {PERMITS} permits: give it a smaller world"));
        }
    })
}

/// Killed at any permit and applied again with the same change and the last checkpoint, it ends where
/// it would have, or says that it cannot tell.
///
/// # Panics
/// When it does not get there, or makes a second effect.
pub async fn it_goes_on_wherever_it_was_killed<S: DeployerSubject>(subject: &S) {
    for death in [Death::Killed, Death::Overtaken] {
        for permits in walk() {
            let bench = Bench::new(subject, Start::Old).await;
            let run = bench.run(Release::New).await;
            if !run.begin(Write::Apply, permits, death).await.1 {
                break;
            }
            let (again, earlier) = (run.in_another_process(), run.checkpoint().await);
            let before = run.trace().await;
            let when = format!("{death:?} after {permits} permits");
            let receipt = match again.try_apply(earlier.as_ref()).await {
                Ok(receipt) => receipt,
                Err(error) if cannot_tell(&error) => {
                    holds!(
                        run.trace().await == before,
                        CANNOT_TELL,
                        "it wrote all the same ({when})"
                    );
                    continue;
                }
                Err(error) => {
                    broken(contract::APPLY_AGAIN, format_args!("{when}: {}", told(&error)))
                }
            };
            again.observe(&receipt).await;
            let location = again.locate(Some(&receipt)).await;
            if location != Location::After {
                let sentence =
                    if earlier.is_some() { contract::CHECKPOINT } else { contract::APPLY_AGAIN };
                broken(sentence, format_args!("{when}, then applied again: {location}"));
            }
            again.arrived(&receipt).await;
            let before = run.trace().await;
            if let Err(error) = run.in_another_process().try_apply(Some(&receipt)).await {
                broken(
                    contract::APPLY_AGAIN,
                    format_args!("{when}, for the third time: {}", told(&error)),
                );
            }
            holds!(run.trace().await.state == before.state, APPLY_AGAIN, "{when}: a second effect");
        }
    }
}

/// An error has a code, keeps that of a permit that was refused, and tells the truth about what was
/// written: [`Effect::None`] only when the target is as it was, [`Effect::Done`] only when it is not.
///
/// # Panics
/// When an error says anything else.
pub async fn errors_tell_what_was_written<S: DeployerSubject>(subject: &S) {
    for permits in walk() {
        let bench = Bench::new(subject, Start::Old).await;
        let run = bench.run(Release::New).await;
        let (ended, used_up) = run.begin(Write::Apply, permits, Death::Overtaken).await;
        if !used_up {
            return;
        }
        if let Some(Err(error)) = ended {
            let when = format!("refused after {permits} permits: {}", told(&error));
            holds!(error.code().area() == "lock", PERMIT_CODE, "{when}");
            honest(&error, &bench.start, &bench.world.truth().await, &when);
        }
    }
}

/// Sees that an error is what an error has to be, given what was live before the call and after it.
pub(crate) fn honest(error: &Error, before: &Truth, after: &Truth, when: &str) {
    let code = error.code().as_str();
    let dotted =
        code.split_once('.').is_some_and(|(area, what)| !area.is_empty() && !what.is_empty());
    holds!(dotted, CODE, "`{code}` ({when})");
    match error.effect() {
        Effect::None => {
            holds!(before == after, EFFECT, "`none`, and {before:?} became {after:?} ({when})");
        }
        Effect::Done => holds!(before != after, EFFECT, "`done`, and {before:?} is live ({when})"),
        _ => {}
    }
}
