//! Who acts in an interleaving.

use std::process::{Child, Command, Stdio};

use gatekit_core::ledger::Claim;
use gatekit_core::process::ProcessIdentity;
use gatekit_core::{RunId, TargetName, code};

use super::super::bench::name;
use super::op::{AGENTS, Act, Draw, Op, RUNS, TARGETS, Who};
use super::side::Answer;

/// The runs, and the agents who act for them.
#[derive(Debug)]
pub(super) struct Cast {
    pub(super) runs: Vec<RunId>,
    pub(super) agents: Vec<Agent>,
    along: bool,
    dead: Vec<ProcessIdentity>,
    /// By target: who was granted last, and who asked for a ticket.
    last: [Option<usize>; TARGETS],
    queued: [Vec<usize>; TARGETS],
}

#[derive(Debug)]
pub(super) struct Agent {
    /// Its claim to each target.
    pub(super) claims: Vec<Claim>,
    /// A process of its own, where it has to die some day.
    mortal: Option<Mortal>,
}

impl Cast {
    /// A cast; nobody can die unless `deaths`. `along`: most claims name several
    /// targets.
    pub(super) fn new(deaths: bool, along: bool) -> std::io::Result<Self> {
        let runs: Vec<RunId> = (0..RUNS).map(|_| RunId::generate()).collect();
        // Two agents never die, so that there is always one who goes on.
        let dies = |agent| deaths && agent < AGENTS - 2;
        let agents =
            (0..AGENTS).map(|agent| Agent::new(agent, runs[agent / 2], dies(agent), along));
        Ok(Self {
            agents: agents.collect::<std::io::Result<_>>()?,
            runs,
            along,
            dead: Vec::new(),
            last: [None; TARGETS],
            queued: Default::default(),
        })
    }

    /// Who is meant. Where nobody is, somebody queues; where the one who is meant is dead, he begins
    /// anew: a call that cannot be made would show nothing.
    pub(super) fn resolve(&self, draw: &Draw) -> Op {
        let (target, act) = (draw.target, draw.act.clone());
        let meant = match draw.who {
            Who::Agent(agent) => return Op { agent, target, act },
            Who::Last => self.last[target],
            Who::Partner => self.last[target].map(|last| last ^ 1),
            Who::Queued(number) => {
                let queued = &self.queued[target];
                queued.get(number % queued.len().max(1)).copied()
            }
        };
        let living = |agent: usize| !self.is_dead(&self.agents[agent].claims[target].process);
        match meant {
            _ if matches!(act, Act::Pass(_)) => Op { agent: 0, target, act },
            Some(agent) if living(agent) => Op { agent, target, act },
            Some(agent) => Op { agent, target, act: Act::Anew },
            None => {
                let agent = (self.queued[target].len() * 2) % AGENTS;
                Op { agent, target, act: Act::Enqueue }
            }
        }
    }

    /// Notes who was answered, for [`resolve`](Self::resolve).
    pub(super) fn hear(&mut self, op: &Op, answer: &Answer) {
        let queued = &mut self.queued[op.target];
        match answer {
            Answer::Ticket(_) => {
                queued.retain(|agent| *agent != op.agent);
                queued.push(op.agent);
            }
            Answer::Granted(..) | Answer::TookOver(..) => {
                queued.retain(|agent| *agent != op.agent);
                self.last[op.target] = Some(op.agent);
            }
            Answer::Refused(code, _) if *code == code::LOCK_NO_TICKET => {
                queued.retain(|agent| *agent != op.agent);
            }
            _ => {}
        }
    }

    /// Kills the agent's process, if it can be killed.
    pub(super) fn kill(&mut self, agent: usize) {
        if let Some(mortal) = self.agents[agent].mortal.take() {
            self.dead.push(mortal.identity.clone());
        }
    }

    pub(super) fn is_dead(&self, process: &ProcessIdentity) -> bool {
        self.dead.contains(process)
    }

    /// The agent makes claims that it never made before; in a new process if it had one of its own,
    /// which ends.
    pub(super) fn anew(&mut self, agent: usize) -> std::io::Result<()> {
        self.kill(agent);
        let mortal = self.is_dead(&self.agents[agent].claims[0].process);
        self.agents[agent] = Agent::new(agent, self.runs[agent / 2], mortal, self.along)?;
        Ok(())
    }
}

impl Agent {
    fn new(number: usize, run: RunId, dies: bool, along: bool) -> std::io::Result<Self> {
        let mortal = if dies { Some(Mortal::spawn()?) } else { None };
        let mut process = ProcessIdentity::current();
        if let Some(mortal) = &mortal {
            process = mortal.identity.clone();
        } else if number == AGENTS - 1 {
            // One that cannot be seen from here.
            process.namespace = "pid:[1]".to_owned();
        }
        let claim = |target: usize| {
            // Some alone, some in a circle, some all; and the agents of a run not the same.
            let next =
                (along && !(number + target).is_multiple_of(3)).then(|| (target + 1) % TARGETS);
            let last = (along && (number + target) % 4 == 1).then(|| (target + 2) % TARGETS);
            let also = next.into_iter().chain(last).map(called);
            let claim = Claim::new(called(target), run, format!("agent {number}"));
            let mut claim = claim.along(also);
            claim.process = process.clone();
            claim
        };
        Ok(Self { claims: (0..TARGETS).map(claim).collect(), mortal })
    }
}

fn called(target: usize) -> TargetName {
    name(&format!("production/target-{target}"))
}

/// A real process that does nothing but live.
#[derive(Debug)]
struct Mortal {
    child: Child,
    identity: ProcessIdentity,
}

impl Mortal {
    fn spawn() -> std::io::Result<Self> {
        let mut child = Command::new("sleep").arg("600").stdin(Stdio::null()).spawn()?;
        match ProcessIdentity::of(child.id()) {
            Some(identity) => Ok(Self { child, identity }),
            None => {
                child.kill()?;
                child.wait()?;
                Err(std::io::Error::other("the platform does not tell processes apart"))
            }
        }
    }
}

impl Drop for Mortal {
    fn drop(&mut self) {
        // It is gone when it has been waited for; it may have been gone before.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
