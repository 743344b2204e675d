//! Runs a program as on a kernel that lacks something, which only a filter of calls can show on one that has it.
//!
//! ```text
//! old-kernel landlock PROGRAM ARGUMENT...     no rules for paths
//! old-kernel seccomp PROGRAM ARGUMENT...      no further filters of calls
//! ```

#[cfg(target_os = "linux")]
fn main() {
    use std::os::unix::process::CommandExt;

    use seccompiler::{SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule};

    let mut arguments = std::env::args_os().skip(1);
    let lacking = arguments.next().and_then(|what| what.into_string().ok()).expect("what is lacking");
    let program = arguments.next().expect("a program");
    let rules = match lacking.as_str() {
        "landlock" => {
            let calls =
                [libc::SYS_landlock_create_ruleset, libc::SYS_landlock_add_rule, libc::SYS_landlock_restrict_self];
            calls.map(|call| (call, Vec::new())).into()
        }
        "seccomp" => {
            let is_filter = u64::from(libc::PR_SET_SECCOMP.cast_unsigned());
            let condition = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, is_filter);
            let rule = SeccompRule::new(vec![condition.expect("a condition")]).expect("a rule");
            [(libc::SYS_seccomp, Vec::new()), (libc::SYS_prctl, vec![rule])].into()
        }
        other => panic!("unknown: {other}; landlock and seccomp can be left out"),
    };
    let missing = SeccompAction::Errno(libc::ENOSYS.cast_unsigned());
    let here = std::env::consts::ARCH.try_into().expect("an architecture that is known");
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, missing, here).expect("a filter");
    let filter: seccompiler::BpfProgram = filter.try_into().expect("a program");
    seccompiler::apply_filter(&filter).expect("this kernel filters calls");
    let error = std::process::Command::new(program).args(arguments).exec();
    panic!("{error}");
}

#[cfg(not(target_os = "linux"))]
fn main() {
    panic!("there is nothing to leave out here");
}
