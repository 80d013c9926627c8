//! How bad a vulnerability is.

use std::fmt;

/// How bad a vulnerability is, as ECR and Inspector rate it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Severity {
    /// Nobody has rated it, or not yet.
    Undefined,
    /// No harm by itself.
    Informational,
    /// Low.
    Low,
    /// Medium.
    Medium,
    /// High.
    High,
    /// Critical.
    Critical,
}

impl Severity {
    pub(super) const ALL: [(Self, &'static str); 6] = [
        (Self::Critical, "critical"),
        (Self::High, "high"),
        (Self::Medium, "medium"),
        (Self::Low, "low"),
        (Self::Informational, "informational"),
        (Self::Undefined, "undefined"),
    ];

    /// # Errors
    /// The name itself when it is none of those that are known.
    pub(super) fn parse(name: &str) -> std::result::Result<Self, String> {
        let small = name.to_ascii_lowercase();
        let known = Self::ALL.iter().find(|(_, known)| *known == small);
        match known {
            Some((severity, _)) => Ok(*severity),
            None if small == "untriaged" => Ok(Self::Undefined),
            None => Err(name.to_owned()),
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(it, _)| it == self);
        f.write_str(name.map_or("", |(_, name)| name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severities_are_read_in_any_case_and_others_are_not_guessed() {
        assert_eq!(Severity::parse("CRITICAL"), Ok(Severity::Critical));
        assert_eq!(Severity::parse("UNTRIAGED"), Ok(Severity::Undefined));
        assert_eq!(Severity::parse("CATASTROPHIC"), Err("CATASTROPHIC".to_owned()));
    }
}
