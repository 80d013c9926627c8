//! What a deploy of functions changes, and where the project stands.

use gatekit_core::{Digest, Live, Location, Result, RunId};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::files::Found;
use super::keep::Keep;
use crate::management::{Deployed, Status};

/// The change of a [`Deploy`](super::Deploy).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FunctionsChange {
    /// The project, and whose it is.
    pub project: String,
    /// The run that planned it.
    pub run: RunId,
    /// What is deployed.
    pub functions: Vec<FunctionChange>,
}

/// One function of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FunctionChange {
    /// Its slug.
    pub slug: String,
    /// Its entrypoint, by the path in the project.
    pub entrypoint: String,
    /// Its import map.
    pub import_map: Option<String>,
    /// The patterns of its static files.
    pub static_patterns: Vec<String>,
    /// The files that are sent, in this order.
    pub files: Vec<SentFile>,
    /// The digest of all that the server bundles.
    pub source: Digest,
    /// Whether it is to demand a JSON web token.
    pub verify_jwt: bool,
    /// What was deployed before; `None` when there was no such function.
    pub before: Option<Former>,
}

/// A file that is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SentFile {
    /// Its path in the project.
    pub path: String,
    /// The digest of its bytes.
    pub digest: Digest,
}

/// A function as it was deployed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Former {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: u64,
    /// The checksum of its artefact, where the API has told it.
    pub checksum: Option<Digest>,
    /// Whether it demanded a JSON web token.
    pub verify_jwt: bool,
    /// Whether it was throttled.
    #[serde(default)]
    pub throttled: bool,
    /// Whether it had an import map.
    pub import_map: Option<bool>,
    /// Its entrypoint.
    pub entrypoint_path: Option<String>,
    /// Its import map.
    pub import_map_path: Option<String>,
    /// The checksum of the artefact that is kept.
    pub kept: Option<Digest>,
    /// Why none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_kept: Option<String>,
}

/// The receipt of a [`Deploy`](super::Deploy): one for each function.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FunctionsReceipt {
    /// The functions.
    pub functions: Vec<FunctionReceipt>,
}

/// By what the deploy of a function is recognised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FunctionReceipt {
    /// Its slug.
    pub slug: String,
    /// Its id.
    pub id: String,
    /// Its version.
    pub version: u64,
    /// The checksum of its artefact.
    pub checksum: Digest,
}

impl FunctionsReceipt {
    /// That of the functions which are live as they are wished.
    pub(super) fn of_live(standings: &Standings<'_, '_>) -> Self {
        let after = standings.each.iter().filter(|(.., it)| it.is_after());
        Self {
            functions: after.filter_map(|(_, live, _)| FunctionReceipt::new((*live)?)).collect(),
        }
    }

    pub(super) fn of(&self, slug: &str) -> Option<&FunctionReceipt> {
        self.functions.iter().find(|it| it.slug == slug)
    }
}

impl FunctionReceipt {
    /// That of a function as the API tells it; `None` when it tells no checksum.
    pub(super) fn new(deployed: &Deployed) -> Option<Self> {
        Some(Self {
            slug: deployed.slug.clone(),
            id: deployed.id.clone(),
            version: deployed.version,
            checksum: deployed.checksum.clone()?,
        })
    }

    pub(super) fn is(&self, live: &Deployed) -> bool {
        self.id == live.id
            && self.version == live.version
            && live.checksum.as_ref() == Some(&self.checksum)
    }
}

impl FunctionChange {
    pub(super) fn new(slug: &str, found: &Found, verify_jwt: bool, before: Option<Former>) -> Self {
        let files = found.files.iter();
        let files: Vec<_> = files
            .map(|(path, bytes)| SentFile { path: path.clone(), digest: Digest::of(bytes) })
            .collect();
        let source = json!({
            "entrypoint": found.entrypoint, "import_map": found.import_map,
            "static_patterns": found.static_patterns, "files": &files,
        });
        Self {
            slug: slug.to_owned(),
            entrypoint: found.entrypoint.clone(),
            import_map: found.import_map.clone(),
            static_patterns: found.static_patterns.clone(),
            source: Digest::of_json(&source),
            files,
            verify_jwt,
            before,
        }
    }

    /// Where a function stands, by the receipt of the run or by what was made of the same files before.
    pub(super) fn standing(
        &self,
        live: Option<&Deployed>,
        receipt: Option<&FunctionReceipt>,
        known: Option<&Digest>,
    ) -> Standing {
        let Some(live) = live else {
            return if self.before.is_none() { Standing::before() } else { Standing::Gone };
        };
        let before = self.before.as_ref().filter(|it| it.is(live));
        let is_served = |it: &Former| live.status == Status::Active || it.throttled;
        let is_before = before.is_some_and(is_served);
        let is_wish = match receipt {
            Some(receipt) => receipt.is(live),
            None => known.is_some() && live.checksum.as_ref() == known,
        };
        let lacks = self.lacks(live);
        match (is_wish, lacks) {
            (true, None) => Standing::Known { is_before, is_after: true },
            // Ours, by its version: nobody else's is.
            (true, Some(why)) if receipt.is_some() && !is_before => Standing::Half(why),
            _ if is_before => Standing::before(),
            // As it was or as it is wished, and not served.
            _ if before.is_some() => Standing::Half(unserved(live)),
            (true, Some(why)) if live.verify_jwt == Some(self.verify_jwt) => Standing::Half(why),
            _ => Standing::Elsewhere,
        }
    }

    /// What a function lacks that has the wished artefact.
    pub(super) fn lacks(&self, live: &Deployed) -> Option<String> {
        let slug = &self.slug;
        if live.verify_jwt != Some(self.verify_jwt) {
            let is = live.verify_jwt.map_or("not told".to_owned(), |it| it.to_string());
            return Some(format!("`verify_jwt` of `{slug}` is {is}, not {}", self.verify_jwt));
        }
        (live.status != Status::Active).then(|| unserved(live))
    }
}

fn unserved(live: &Deployed) -> String {
    format!("`{}` is {}", live.slug, live.status.as_str())
}

impl Former {
    /// Whether that is live, as whatever version, served or not.
    pub(super) fn is(&self, live: &Deployed) -> bool {
        let same = match (&self.checksum.clone().or_else(|| self.kept.clone()), &live.checksum) {
            (Some(checksum), Some(live)) => checksum == live,
            // Where the API tells no checksum, the version is all there is.
            (_, None) => self.checksum.is_none() && self.version == live.version,
            (None, Some(_)) => false,
        };
        same && live.verify_jwt == Some(self.verify_jwt)
    }
}

/// Where a function stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// As it was, as it is wished, or both where that is the same.
    Known { is_before: bool, is_after: bool },
    /// What is wished was deployed, and it is not as it should be.
    Half(String),
    /// Somebody else's is live.
    Elsewhere,
    /// Somebody has removed it.
    Gone,
    /// The run has begun, and nobody knows whose it is that is live.
    Unclear,
    /// It is as it was, and what the run has sent may still take effect.
    Pending,
}

impl Standing {
    const fn before() -> Self {
        Self::Known { is_before: true, is_after: false }
    }

    pub(super) const fn is_before(&self) -> bool {
        matches!(self, Self::Known { is_before: true, .. })
    }

    pub(super) const fn is_after(&self) -> bool {
        matches!(self, Self::Known { is_after: true, .. })
    }
}

/// The functions of a change, with what is live of them.
#[derive(Debug)]
pub(super) struct Standings<'c, 'l> {
    pub(super) each: Vec<(&'c FunctionChange, Option<&'l Deployed>, Standing)>,
}

impl FunctionsChange {
    pub(super) fn slugs(&self) -> impl Iterator<Item = &str> {
        self.functions.iter().map(|it| &*it.slug)
    }

    /// Where each function stands. What a run has begun and does not know is unclear.
    pub(super) fn standings<'c, 'l>(
        &'c self,
        live: &'l [Deployed],
        receipt: Option<&FunctionsReceipt>,
        keep: &Keep,
    ) -> Result<Standings<'c, 'l>> {
        let mut each = Vec::new();
        for function in &self.functions {
            let slug = &function.slug;
            let live = live.iter().find(|it| it.slug == *slug);
            let receipt = receipt.and_then(|it| it.of(slug));
            let known = keep.bundle(&function.source)?;
            let mut standing = function.standing(live, receipt, known.as_ref());
            match standing {
                // The same on both sides: the way back was gone, and that is all there is to see of it.
                Standing::Known { is_before: true, is_after: true }
                    if keep.is_undone(self.run, slug) =>
                {
                    standing = Standing::before();
                }
                Standing::Elsewhere if receipt.is_none() && keep.has_begun(self.run, slug) => {
                    standing = Standing::Unclear;
                }
                Standing::Known { is_after: false, .. } if keep.may_land(self.run, slug) => {
                    standing = Standing::Pending;
                }
                _ => {}
            }
            each.push((function, live, standing));
        }
        Ok(Standings { each })
    }
}

impl Standings<'_, '_> {
    /// The same for who may send once more what may still land.
    pub(super) fn regardless_of_pending(mut self) -> Self {
        let pending = self.each.iter_mut().filter(|(.., it)| *it == Standing::Pending);
        pending.for_each(|(.., it)| *it = Standing::before());
        self
    }

    pub(super) fn location(&self) -> Location {
        let all = |is: fn(&Standing) -> bool| self.each.iter().all(|(.., it)| is(it));
        let first = |wanted: Standing| {
            self.each.iter().find(|(.., it)| *it == wanted).map(|(function, ..)| &function.slug)
        };
        if all(Standing::is_after) {
            return Location::After;
        }
        if all(Standing::is_before) {
            return Location::Before;
        }
        if first(Standing::Elsewhere).is_some() {
            let live = self.each.iter().filter_map(|(_, live, _)| *live);
            return Location::Elsewhere(
                live_of(live).unwrap_or_else(|| Live::new("nothing", None)),
            );
        }
        if let Some(slug) = first(Standing::Gone) {
            return Location::Unknown(format!("somebody has removed the function `{slug}`"));
        }
        if let Some(slug) = first(Standing::Unclear) {
            let why = format!("no answer told what was deployed as `{slug}`, and something was");
            return Location::Unknown(why);
        }
        if let Some(slug) = first(Standing::Pending) {
            let why = format!("no answer told what becomes of `{slug}`, which may still change");
            return Location::Unknown(why);
        }
        let after = self.each.iter().filter(|(.., it)| it.is_after()).count();
        let half = self.each.iter().find_map(|(.., it)| match it {
            Standing::Half(why) => Some(why.clone()),
            _ => None,
        });
        let part = || format!("{after} of {} functions are deployed", self.each.len());
        Location::Between(half.unwrap_or_else(part))
    }
}

/// What is live, of all these functions together; `None` when there are none. An artefact that was put back is
/// what it was, although its version is a new one.
pub(super) fn live_of<'a>(functions: impl Iterator<Item = &'a Deployed>) -> Option<Live> {
    let told = functions.map(|it| {
        let version = || it.version.to_string();
        let artefact = it.checksum.as_ref().map_or_else(version, |it| it.short().to_owned());
        let open = if it.verify_jwt == Some(false) { " without verify_jwt" } else { "" };
        format!("{}@{artefact}{open}", it.slug)
    });
    let told: Vec<_> = told.collect();
    (!told.is_empty()).then(|| Live::new(told.join(", "), None))
}
