//! What comes with the dependencies: their licences, where they are from, and what is known to be wrong with them.
//!
//! `cargo-deny` judges by the rules of `deny.toml`. It is a program of its own, which the set-up does not install (it
//! takes minutes to build): without it these checks are skipped, and the summary says so. Known vulnerabilities are
//! listed in a database on the network; where that is out of reach the check is skipped, too, and never passed.

use super::{Context, Outcome};
use crate::run::Step;

/// Every lock file that is built from, and rules that are of no use there: tests/fuzz has few of the dependencies.
const MANIFESTS: [(&str, &str); 2] = [
    ("Cargo.toml", ""),
    ("tests/fuzz/Cargo.toml", "-A license-not-encountered -A unused-wrapper -A advisory-not-detected"),
];
const MISSING: &str = "cargo-deny is not installed; `cargo install --locked cargo-deny` brings it";

fn deny(context: &Context, manifest: &str) -> Step {
    context.workspace.cargo().words("deny --locked --manifest-path").args([context.workspace.root.join(manifest)])
}

fn is_missing(context: &Context) -> bool {
    context.workspace.cargo().words("deny --version").output().is_err()
}

/// Licences, bans and origins; without the network.
pub(super) fn licences(context: &mut Context) -> Outcome {
    if is_missing(context) {
        return Outcome::Skipped(MISSING.to_owned());
    }
    let judged = MANIFESTS.into_iter().try_for_each(|(manifest, unused)| {
        deny(context, manifest).words("--offline check").words(unused).words("licenses bans sources").succeed()
    });
    judged.map(|()| String::new()).into()
}

pub(super) fn vulnerabilities(context: &mut Context) -> Outcome {
    if is_missing(context) {
        return Outcome::Skipped(MISSING.to_owned());
    }
    for (manifest, unused) in MANIFESTS {
        let mut said = String::new();
        let step = deny(context, manifest).words("check").words(unused).words("advisories");
        let ran = step.tee_stderr(|line| said.push_str(line));
        match ran {
            Ok(Ok(())) => {}
            Ok(Err(_)) if is_out_of_reach(&said) => {
                return Outcome::Skipped("the database of advisories cannot be fetched".to_owned());
            }
            Ok(Err(why)) | Err(why) => return Outcome::Failed(why),
        }
    }
    Outcome::Passed(String::new())
}

/// As `cargo-deny` says it.
fn is_out_of_reach(said: &str) -> bool {
    said.contains("failed to fetch advisory database") || said.contains("failed to load advisory database")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_cannot_be_had_is_told_from_a_vulnerability() {
        assert!(is_out_of_reach("[ERROR] failed to fetch advisory database https://example.org: no network"));
        assert!(!is_out_of_reach("error[vulnerability]: a buffer is too short\nadvisories FAILED"));
    }
}
