//! SIGSTOP beyond the lease, and SIGCONT once somebody else has settled what was begun.

use std::fs;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use super::call::Moment;
use super::{Chaos, Sort, Story, journal};
use crate::site::{Done, signal};

impl Chaos {
    /// Stops a ship beyond its lease, lets another process settle it, and continues it: as a zombie
    /// it writes neither to the journal nor to the disk nor to the service.
    pub(super) fn stop(&mut self) {
        let sort = if self.rng.bool() { Sort::Good } else { Sort::Bad };
        let (mut story, mut call) = self.begin(sort);
        story.stopped = true;
        call.command.args(["--lease", "2s"]);
        let entries = self.measures[&sort].entries;
        let entry = 1 + u64::try_from(self.tally.stops).unwrap() * 3 % (entries - 1);
        let late = Duration::from_millis(self.rng.u64(..30));
        let name = call.name.clone();
        let mut child = call.spawn();
        Moment::Entry(entry, late).wait(&mut child, &self.journal, story.since);
        if child.try_wait().unwrap().is_some() {
            self.tally.missed += 1;
            let done = Done::of(&child.wait_with_output().unwrap());
            // A lease as short as this one may lapse on a busy machine.
            if !self.ended(&story, &name, &done) {
                self.settle(&story, false);
            }
            return self.assert_true(&story);
        }
        signal("-STOP", &child);
        let held = self.journal.after(story.since);
        self.tally.stopped(held.last().map_or("(no entry)".to_owned(), journal::name));
        self.lapse();
        let came_to = if journal::under_way(&held) {
            self.zombie(&story, child)
        } else {
            // It had changed nothing, or was done: nobody goes on with it while it lives.
            signal("-CONT", &child);
            let done = Done::of(&child.wait_with_output().unwrap());
            if !self.ended(&story, &format!("{name}, stopped and continued"), &done) {
                self.settle(&story, false);
            }
            "it had changed nothing yet, or was done: its report was true"
        };
        self.tally.zombie(came_to);
        self.assert_true(&story);
    }

    /// Waits until the lease of a stopped process has lapsed.
    fn lapse(&self) {
        let patience = Instant::now() + Duration::from_secs(20);
        while !matches!(self.site.status()["state"].as_str(), Some("free" | "suspect")) {
            assert!(Instant::now() < patience, "the lease does not lapse");
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn zombie(&mut self, story: &Story, child: Child) -> &'static str {
        let resumed = self.site.run(["resume", "--deadline", "6s"]);
        let settled = self.ended(story, "resume beside a stopped ship", &resumed);
        if settled {
            self.assert_true(story);
        }
        let (disk, head) = (self.disk(), self.journal.head());
        let taken_over =
            self.journal.after(story.since).into_iter().filter_map(|entry| entry.fence);
        let newest = taken_over.max();
        signal("-CONT", &child);
        let done = Done::of(&child.wait_with_output().unwrap());
        if settled {
            let done = done.expect(4, "stuck", "lock.lost");
            assert_eq!(self.journal.head(), head, "the zombie journalled: {done:?}");
            assert_eq!(self.disk(), disk, "the zombie wrote: {done:?}");
            return "overtaken: it wrote nothing, and said so";
        }
        // It was stopped in the middle of a write that nobody else may pass: a transaction of the
        // ledger, or an effect under the root's lock.
        let later = self.journal.after(story.since).into_iter().filter_map(|entry| entry.fence);
        let came_to = if later.max() == newest && done.outcome() != "stuck" {
            "in a write that nobody could pass: it went on, and its report was true"
        } else {
            done.expect(4, "stuck", "lock.lost");
            self.settle(story, false);
            return "in a write that nobody could pass: overtaken after it";
        };
        if !self.ended(story, "ship, stopped and continued", &done) {
            self.settle(story, false);
        }
        came_to
    }

    /// What lies under the root, without the ledger and what the service prints; and who serves.
    fn disk(&self) -> Vec<String> {
        let root = self.site.root();
        let text = |name: &str| fs::read_to_string(root.join(name)).unwrap_or_default();
        let mut disk = vec![text("fence.json"), text("service.json")];
        for link in ["current", "previous"] {
            disk.push(format!("{:?}", fs::read_link(root.join(link)).ok()));
        }
        for dir in ["releases", "staging"] {
            let names = fs::read_dir(root.join(dir)).unwrap();
            let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            disk.push(format!("{names:?}"));
        }
        disk.push(format!("{:?}", self.site.services()));
        disk
    }
}
