//! An account as JUnit XML, which every continuous integration shows: a test for each series and each peak.

use std::time::Duration;

use meetcap_supervisor::event::Phase;
use meetcap_supervisor::leak::{Account, Verdict};
use quick_junit::{NonSuccessKind, Report, SerializeError, TestCase, TestCaseStatus, TestSuite};

/// The whole report.
pub(super) fn report(account: &Account) -> Result<String, SerializeError> {
    let name = format!("leak-check.{}{}", account.phase, if account.reuse { ".reuse" } else { "" });
    let time = Duration::try_from_secs_f64(account.seconds).unwrap_or_default();
    let mut suite = TestSuite::new(name.clone());
    suite.set_time(time);
    for (key, value) in [
        ("version", account.version.clone()),
        ("seed", account.seed.to_string()),
        ("cycles", account.cycles.to_string()),
        ("warm_up", account.warm_up.to_string()),
        ("stt", account.stt.clone().unwrap_or_default()),
        ("llm", account.llm.clone().unwrap_or_default()),
    ] {
        suite.add_property((key, value.as_str()));
    }
    for series in &account.series {
        let values = values(&series.values);
        suite.add_test_case(case(&name, series.measure.title(), Some(series.verdict), &series.explanation, &values));
    }
    for peak in &account.peaks {
        let title = match peak.phase {
            Phase::Stt => "speech worker peak",
            Phase::Llm => "summary worker peak",
        };
        suite.add_test_case(case(&name, title, peak.verdict, &peak.explanation, &values(&peak.values)));
    }
    let mut report = Report::new("meetcap-supervisor leak-check");
    report.set_time(time);
    report.add_test_suite(suite);
    report.to_string()
}

fn case(class: &str, title: &str, verdict: Option<Verdict>, explanation: &str, values: &str) -> TestCase {
    let mut status = match verdict {
        Some(Verdict::Leak) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_type("leak").set_description(format!("{explanation}\n{values}"));
            status
        }
        Some(Verdict::NoLeak | Verdict::Noticed) => TestCaseStatus::success(),
        // Not judged is not passed.
        Some(Verdict::Insufficient) | None => TestCaseStatus::skipped(),
    };
    status.set_message(explanation);
    let mut case = TestCase::new(title, status);
    case.set_classname(class);
    case.set_system_out(format!("{explanation}\n{values}"));
    case
}

fn values(values: &[f64]) -> String {
    let values: Vec<String> = values.iter().map(|value| format!("{value:.0}")).collect();
    format!("after each cycle: {}", values.join(" "))
}
