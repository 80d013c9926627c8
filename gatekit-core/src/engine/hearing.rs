//! What people say about a run that waits: approvals, rejections, waivers.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::admission::{Plans, scopes};
use super::gates::Blocker;
use super::recorder::Stretch;
use super::run::{Run, Stop};
use crate::context::{Hearing, Vote};
use crate::error::Result;
use crate::gate::GateSlot;
use crate::id::StageId;
use crate::ledger::{Body, GatePhase, StageScope};
use crate::time::Timestamp;

/// How often a run that waits in its own process looks whether somebody said something.
const LISTEN: Duration = Duration::from_secs(1);

/// How often it asks its gates again though nobody did: some wait for the time of day.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// How many entries are read at once.
const PAGE: usize = 64;

/// How many waivers of a target are looked through, newest first.
const WAIVERS: usize = 64;

impl Run {
    /// Reads what people said about this run so far, about what it would touch by `plans`.
    pub(crate) async fn hear(&mut self, plans: &Plans) -> Result<(), Stop> {
        let hearing = self.heard(scopes(plans)).await;
        self.hearing = Arc::new(hearing.map_err(|error| self.ledger_stop(error))?);
        Ok(())
    }

    async fn heard(&self, scopes: Vec<StageScope>) -> Result<Hearing> {
        if let Some(alone) = self.alone().await? {
            return Ok(Hearing { scopes, upto: alone.last, ..Hearing::default() });
        }
        let records = self.ledger.read_run(self.pipeline.target(), self.id()).await?;
        let touched = StageScope::of_all(&scopes);
        let upto = records.last().map_or(0, |record| record.seq);
        let mut hearing = Hearing { scopes, upto, ..Hearing::default() };
        for record in &records {
            if !matches!(&*record.kind()?, "approval" | "waived") {
                continue;
            }
            let entry = record.decode()?;
            match entry.body {
                Body::Approval { stage, word, intent, scope, comment } => {
                    let binds = intent == self.facts.intent && scope == touched;
                    let (by, at, entry) = (entry.actor, entry.at, record.seq);
                    hearing.votes.push((stage, Vote { by, word, at, comment, binds, entry }));
                }
                Body::Waived { stage, .. } => {
                    hearing.waived.insert(stage);
                }
                _ => {}
            }
        }
        Ok(hearing)
    }

    /// The run's entries, if nobody else has written to the journal since this process opened it.
    pub(crate) async fn alone(&self) -> Result<Option<Stretch>> {
        let own = self.recorder.stretch();
        if own.opened.is_none() {
            return Ok(None);
        }
        // With its own last entry: where that is not found, the chain is another one.
        let end = self.ledger.read(self.pipeline.target(), own.last.saturating_sub(1), 2).await?;
        Ok(own.ends_with(&end).then_some(own))
    }

    /// Journals what the run would touch, for whoever has to judge it, and where their word counts.
    pub(crate) async fn ask_people(&self) -> Result<(), Stop> {
        let slots = self.pipeline.gates.iter().flatten();
        let hears = slots.filter(|slot| slot.gate.hears_people()).map(|slot| slot.id.clone());
        let (scopes, hears) = (self.hearing.scopes.clone(), hears.collect());
        self.record(Body::Planned { scopes, hears }).await
    }

    /// Waits in this process until somebody may have said something, or it is time to ask again.
    pub(crate) async fn wait_for_people(
        &self,
        blocker: &Blocker,
        patience: Instant,
    ) -> Result<(), Stop> {
        self.ask_people().await?;
        self.recorder.progress(Some(&blocker.stage), waits_for(blocker));
        let again = patience.min(Instant::now() + ASK_AGAIN);
        while Instant::now() < again {
            self.pause(LISTEN.min(again.saturating_duration_since(Instant::now()))).await?;
            if self.somebody_spoke().await? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Whether somebody has said something about this run that was not heard yet.
    pub(crate) async fn somebody_spoke(&self) -> Result<bool, Stop> {
        self.spoken().await.map_err(|error| self.ledger_stop(error))
    }

    async fn spoken(&self) -> Result<bool> {
        let mut after = self.recorder.stretch().known_after(self.hearing.upto);
        loop {
            let page = self.ledger.read(self.pipeline.target(), after, PAGE).await?;
            for record in &page {
                let word = matches!(&*record.kind()?, "approval" | "waiver");
                if word && record.decode()?.run == self.id() {
                    return Ok(true);
                }
            }
            match page.last() {
                Some(last) if page.len() == PAGE => after = last.seq,
                _ => return Ok(false),
            }
        }
    }

    /// Whether somebody answers for a gate that blocks, before anything is touched: that is
    /// journalled. What runs already is what it is, whoever answers for it.
    pub(crate) async fn is_waived(&self, slot: &GateSlot, phase: GatePhase) -> Result<bool, Stop> {
        let may = matches!(phase, GatePhase::Admission | GatePhase::Recheck);
        if !may || !slot.gate.may_be_waived() {
            return Ok(false);
        }
        let waiver = self.waiver(&slot.id).await.map_err(|error| self.ledger_stop(error))?;
        let Some(waiver) = waiver else { return Ok(false) };
        self.record(Body::Waived { stage: slot.id.clone(), phase, waiver }).await?;
        Ok(true)
    }

    pub(crate) async fn waiver(&self, waived: &StageId) -> Result<Option<u64>> {
        let target = self.pipeline.target();
        let now = Timestamp::now();
        for record in self.ledger.read_kind(target, "waiver", None, WAIVERS).await? {
            if let Body::Waiver { stage, intent, until, .. } = record.decode()?.body
                && stage == *waived
                && intent == self.facts.intent
                && until > now
            {
                return Ok(Some(record.seq));
            }
        }
        Ok(None)
    }
}

fn waits_for(blocker: &Blocker) -> String {
    let message = blocker.verdict.finding().map(|finding| finding.message.as_str());
    format!("waiting: {}", message.unwrap_or_default())
}
