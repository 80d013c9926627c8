//! Moving a tag of a large image on a real registry.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Instant;

use gatekit_emulators::{Aws as Account, Clock, Ecr, Scenario};
use gatekit_peers::{Registry, Skopeo};
use serde_json::json;
use tokio::process::Command;

use crate::Result;
use crate::counted::apply_bytes;
use crate::line::{millis, say};
use crate::relay::Relay;
use crate::tool::aws;
use crate::world::config;

const REPOSITORY: &str = "team/web";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// 200 MiB.
const LAYERS: (usize, usize) = (4, 50 << 20);

/// Prints, of so many moves by turns, `gatekit_ms` and `gatekit_bytes`, `apply_bytes` for the move
/// itself, and the first two of `skopeo` copying within the registry, and of `pulled`: to a folder by
/// skopeo and back under the tag.
pub(crate) async fn measure(
    peers: &Path,
    program: &Path,
    folder: &Path,
    runs: usize,
) -> Result<()> {
    let (registry, skopeo) = (Registry::start(peers)?, Skopeo::find(peers)?);
    let ecr = Ecr::new(&registry.url())?;
    ecr.create(REPOSITORY, "MUTABLE", &[]);
    // A release is an image of its own: by a whole run, and by a move that is counted alone.
    let images = push(&ecr, 2 * (runs + 1)).await?;
    let account = Account::new(Scenario::Ok, Clock::at_speed(1.0)).with_ecr(ecr);
    let listening = account.listen(0).await?;
    let api = Relay::to(authority(&listening.url())).await?;
    let plain = Relay::to(authority(&registry.url())).await?;
    let endpoint = format!("http://{}", api.address());
    let caller = gatekit_aws::Aws::new(&config(&endpoint));
    let image = |of: &str| format!("docker://{}/{REPOSITORY}{of}", plain.address());
    let dir = format!("dir:{}", folder.join("image").display());
    let hex = |number: usize| images[number].trim_start_matches("sha256:");
    for run in 0..=runs {
        let digest = &images[2 * run];
        // The first of each does not count.
        let counts = run > 0;
        let mut ours = aws(program, &endpoint);
        ours.args(["move-tag", "--repository", REPOSITORY, "--tag", "live"]);
        ours.args(["--digest", hex(2 * run)]);
        measured(&mut [ours], &api, "gatekit", counts).await?;
        let other = hex(2 * run + 1).parse()?;
        let bytes = apply_bytes(&caller, &api, REPOSITORY, "live", other).await?;
        if counts {
            say("apply_bytes", bytes)?;
        }
        let (from, to) = (image(&format!("@{digest}")), image(":live"));
        let copied = copy(&skopeo, [&from, &to]);
        measured(&mut [copied], &plain, "skopeo", counts).await?;
        // Each pulls as much as the other.
        if run <= runs.min(PULLS) {
            let there_and_back = [copy(&skopeo, [&from, &dir]), copy(&skopeo, [&dir, &to])];
            measured(&mut { there_and_back }, &plain, "pulled", counts).await?;
        }
    }
    Ok(())
}

const PULLS: usize = 5;

/// So many images of the same layers, by digest.
async fn push(ecr: &Ecr, count: usize) -> Result<Vec<String>> {
    let (mut layers, mut random) = (Vec::new(), fastrand::Rng::with_seed(7));
    for _ in 0..LAYERS.0 {
        // Nothing that anybody could compress.
        let mut bytes = vec![0; LAYERS.1];
        random.fill(&mut bytes);
        let digest = ecr.push_blob(REPOSITORY, &bytes).await?;
        let kind = "application/vnd.oci.image.layer.v1.tar";
        layers.push(json!({ "mediaType": kind, "digest": digest, "size": bytes.len() }));
    }
    let mut images = Vec::new();
    for number in 0..count {
        let config = json!({ "os": "linux", "architecture": "amd64",
                             "config": { "Labels": { "number": number.to_string() } },
                             "rootfs": { "type": "layers", "diff_ids": [] } });
        let config = config.to_string();
        let digest = ecr.push_blob(REPOSITORY, config.as_bytes()).await?;
        let kind = "application/vnd.oci.image.config.v1+json";
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "layers": layers,
            "config": { "mediaType": kind, "digest": digest, "size": config.len() },
        });
        images.push(ecr.push_manifest(REPOSITORY, MANIFEST, &manifest.to_string()).await?);
    }
    Ok(images)
}

fn copy(skopeo: &Skopeo, [from, to]: [&str; 2]) -> Command {
    let mut copy = Command::from(skopeo.command());
    let plain = ["--src-tls-verify=false", "--dest-tls-verify=false"];
    copy.args(["--insecure-policy", "copy", "--quiet"]).args(plain).args([from, to]);
    copy
}

/// Runs one command after the other, and prints how long that took and what it sent and got.
async fn measured(commands: &mut [Command], relay: &Relay, name: &str, counts: bool) -> Result<()> {
    relay.take();
    let begun = Instant::now();
    for command in commands {
        let output = command.output().await?;
        if !output.status.success() {
            let program = command.as_std().get_program().to_owned();
            return Err(failed(&program, &output.stderr));
        }
    }
    let took = millis(begun.elapsed());
    if counts {
        say(&format!("{name}_ms"), took)?;
        say(&format!("{name}_bytes"), relay.take())?;
    }
    Ok(())
}

fn failed(program: &OsStr, said: &[u8]) -> Box<dyn std::error::Error + Send + Sync> {
    format!("{}: {}", program.display(), String::from_utf8_lossy(said).trim()).into()
}

fn authority(url: &str) -> &str {
    url.trim_start_matches("http://")
}
