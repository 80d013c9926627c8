//! What is known from the answers alone, without looking into the machine, and what must never
//! happen.

/// What must never happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Broken {
    /// Granted, or taken over, although a living holder's lease lasts.
    TwoHolders,
    /// Granted although a run has begun to change the target and has not closed.
    OverSuspect,
    /// Taken over by another run than the one that began to change the target.
    StrangeHeir,
    /// A fence that is not greater than every one before was given.
    FenceBack,
    /// Granted before a lower ticket whose process lives and has asked in time.
    OutOfTurn,
    /// A call under a fence that was overtaken, or had ended, was accepted.
    Zombie,
    /// A call of the holder, under the newest fence, was refused.
    Robbed,
    /// The first in line at a free target was told to wait.
    Ignored,
    /// Given other targets than those that belong together.
    InPart,
    /// Taken over without an entry that says so, or with one although nothing changed.
    Unjournalled,
}

/// Who holds, who has touched, who waits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Ghost {
    /// The process that was granted last, while nothing that was answered ended it.
    pub(super) holder: Option<usize>,
    /// Whether its lease lasts.
    pub(super) lasts: bool,
    /// Whether it took the target over.
    pub(super) resumed: bool,
    /// The run that began to change the target and has not closed.
    pub(super) touched: Option<usize>,
    /// In the order of their tickets.
    pub(super) waiting: Vec<Waiting>,
}

/// A run that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Waiting {
    pub(super) run: usize,
    /// The process that asked last.
    pub(super) process: usize,
    /// Whether it has asked in time.
    pub(super) heard: bool,
}

impl Ghost {
    pub(super) fn tick(&mut self) {
        // What does not matter any more must not tell states apart.
        self.lasts = false;
        for waiting in &mut self.waiting {
            waiting.heard = false;
        }
    }

    pub(super) fn hear(&mut self, run: usize, process: usize) {
        let heard = Waiting { run, process, heard: true };
        match self.waiting.iter_mut().find(|waiting| waiting.run == run) {
            Some(waiting) => *waiting = heard,
            None => self.waiting.push(heard),
        }
    }

    pub(super) fn waits(&self, run: usize) -> bool {
        self.waiting.iter().any(|waiting| waiting.run == run)
    }

    pub(super) fn leave(&mut self, run: usize) {
        self.waiting.retain(|waiting| waiting.run != run);
    }

    /// The holder, while it lives and its lease lasts: nobody may overtake it.
    pub(super) fn at_work(&self, dead: impl Fn(usize) -> bool) -> Option<usize> {
        self.holder.filter(|&holder| self.lasts && !dead(holder))
    }

    /// Whether nobody holds the target and nobody has touched it.
    pub(super) fn is_free(&self, dead: impl Fn(usize) -> bool) -> bool {
        self.touched.is_none() && self.at_work(dead).is_none()
    }

    /// Whether that run waits, and no living waiter before it.
    pub(super) fn is_first(&self, run: usize, dead: impl Fn(usize) -> bool) -> bool {
        let mut living = self
            .waiting
            .iter()
            .filter(|waiting| waiting.run == run || (waiting.heard && !dead(waiting.process)));
        living.next().is_some_and(|first| first.run == run)
    }

    /// The process is granted the target, or takes it over.
    pub(super) fn enter(&mut self, process: usize, resumed: bool) {
        (self.holder, self.lasts, self.resumed) = (Some(process), true, resumed);
    }

    pub(super) fn end(&mut self) {
        (self.holder, self.lasts, self.resumed) = (None, false, false);
    }
}
