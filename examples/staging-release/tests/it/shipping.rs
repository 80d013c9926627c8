//! Ships of this program.

use std::process::Command;

use gatekit_emulators::Scenario;

use crate::site::{Done, Site, account};

/// The image that is released.
pub(crate) const IMAGE: &str = "registry.example.com/web@sha256:\
                                2222222222222222222222222222222222222222222222222222222222222222";

pub(crate) fn site(scenario: Scenario) -> Site {
    Site::of(env!("CARGO_BIN_EXE_staging-release"), account(scenario))
}

/// A ship of that to the service, quick to despair.
pub(crate) fn ship_command(site: &Site, what: &[&str]) -> Command {
    let base = site.url();
    let service = ["ship", "--cluster", "demo", "--service", "web", "--base-url", &base];
    let pace = ["--smoke-retries", "2", "--smoke-delay", "200ms", "--deadline", "60s"];
    site.command([&service[..], &pace, what].concat())
}

pub(crate) fn ship(site: &Site, what: &[&str]) -> Done {
    Done::of(&ship_command(site, what).output().unwrap())
}

pub(crate) fn ship_image(site: &Site) -> Done {
    ship(site, &["--image", IMAGE])
}
