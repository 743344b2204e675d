//! seccomp: what may be asked of the kernel. Tables, and how they become filters.
//!
//! ```text
//!  CPU:  on the list? ─ no ─► ENOSYS        both:  named as forbidden? ─ yes ─► EPERM
//!            │ yes                                        │ no
//!            └────────────────────────────────────────────┴─► done
//! ```
//!
//! All filters are asked, and the strictest answer counts. `clone3` hides its flags behind a pointer where no filter can
//! see them: it answers `ENOSYS`, and the C library then starts its threads with `clone`, whose flags can be seen.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

use super::Computes;

/// What a worker on a CPU needs: to read files that are open or may be opened, to talk on the connection it has, memory,
/// threads and locks, time, signals to itself, and to end.
const ALLOWED: &[c_long] = &[
    // Files and the connection.
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_fstatfs,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_fadvise64,
    libc::SYS_readahead,
    libc::SYS_sendto,
    libc::SYS_recvfrom,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_shutdown,
    libc::SYS_getsockopt,
    libc::SYS_ppoll,
    // Memory.
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_mincore,
    libc::SYS_mlock,
    libc::SYS_munlock,
    libc::SYS_membarrier,
    // Threads and locks.
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_set_tid_address,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_getcpu,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // Who and where.
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_getrusage,
    libc::SYS_times,
    libc::SYS_getrandom,
    // Time.
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    // Signals.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
];

/// The older forms of the same, which only this architecture has.
#[cfg(target_arch = "x86_64")]
const ALLOWED_HERE: &[c_long] = &[
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_dup2,
    libc::SYS_poll,
    libc::SYS_time,
    libc::SYS_arch_prctl,
];
#[cfg(not(target_arch = "x86_64"))]
const ALLOWED_HERE: &[c_long] = &[];

/// What nobody but an attacker would ask for here, each by its own name, so that the answer is plain.
const FORBIDDEN: &[c_long] = &[
    // Programs.
    libc::SYS_execve,
    libc::SYS_execveat,
    // Sockets; the one connection is there already.
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_kcmp,
    libc::SYS_setpriority,
    libc::SYS_setpgid,
    libc::SYS_setsid,
    // Files: made, moved, removed, changed.
    libc::SYS_mkdirat,
    libc::SYS_mknodat,
    libc::SYS_unlinkat,
    libc::SYS_renameat2,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    libc::SYS_truncate,
    libc::SYS_fchmodat,
    libc::SYS_fchownat,
    libc::SYS_utimensat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    // The system.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_syslog,
    libc::SYS_personality,
    // Rights.
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setgroups,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
    libc::SYS_capset,
];

#[cfg(target_arch = "x86_64")]
const FORBIDDEN_HERE: &[c_long] = &[
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_creat,
    libc::SYS_mkdir,
    libc::SYS_rmdir,
    libc::SYS_mknod,
    libc::SYS_unlink,
    libc::SYS_rename,
    libc::SYS_renameat,
    libc::SYS_link,
    libc::SYS_symlink,
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_utime,
    libc::SYS_utimes,
    libc::SYS_futimesat,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
];
#[cfg(not(target_arch = "x86_64"))]
const FORBIDDEN_HERE: &[c_long] = &[];

/// `prctl` as threads and allocators use it: names, and a look at what holds.
const PRCTL: [i32; 4] = [libc::PR_SET_NAME, libc::PR_GET_NAME, libc::PR_GET_NO_NEW_PRIVS, libc::PR_SET_VMA];
/// `fcntl` to look at a descriptor, to copy it, and to close it at the next program.
const FCNTL: [i32; 5] = [libc::F_DUPFD, libc::F_DUPFD_CLOEXEC, libc::F_GETFD, libc::F_SETFD, libc::F_GETFL];

/// The filters for a worker that computes so, in the order in which they are to be put in place.
///
/// # Errors
/// A table that makes no filter; the tests of this module make all of them.
pub(super) fn filters(computes: Computes, pid: u32) -> Result<Vec<BpfProgram>, BackendError> {
    let mut filters = vec![deny(hidden(), libc::ENOSYS)?, deny(forbidden(computes)?, libc::EPERM)?];
    if computes == Computes::OnCpu {
        filters.push(program(allowed(pid)?, errno(libc::ENOSYS), SeccompAction::Allow)?);
    }
    Ok(filters)
}

type Rules = BTreeMap<c_long, Vec<SeccompRule>>;

/// Whose arguments cannot be seen.
fn hidden() -> Rules {
    [libc::SYS_clone3, libc::SYS_openat2].map(|call| (call, Vec::new())).into()
}

fn forbidden(computes: Computes) -> Result<Rules, BackendError> {
    let named = FORBIDDEN.iter().chain(FORBIDDEN_HERE).map(|call| (*call, Vec::new()));
    let mut rules: Rules = named.collect();
    if computes == Computes::OnCpu {
        rules.insert(libc::SYS_openat, writing(2)?);
        #[cfg(target_arch = "x86_64")]
        rules.insert(libc::SYS_open, writing(1)?);
    }
    Ok(rules)
}

/// Any sign in the flags of `open` that something is to be written; one rule each.
fn writing(flags: u8) -> Result<Vec<SeccompRule>, BackendError> {
    let access = u64::from(libc::O_ACCMODE.cast_unsigned());
    let marks = [
        (access, libc::O_WRONLY),
        (access, libc::O_RDWR),
        // Neither, which some drivers take for both.
        (access, libc::O_ACCMODE),
        (u64::from(libc::O_CREAT.cast_unsigned()), libc::O_CREAT),
        (u64::from(libc::O_TRUNC.cast_unsigned()), libc::O_TRUNC),
    ];
    let rule = |(mask, value): (u64, i32)| {
        let value = u64::from(value.cast_unsigned());
        rule([condition(flags, SeccompCmpOp::MaskedEq(mask), value)?])
    };
    marks.into_iter().map(rule).collect()
}

fn allowed(pid: u32) -> Result<Rules, BackendError> {
    // What the two filters before have looked at; a call that this one does not know would not get there.
    let seen = hidden().into_keys().chain(forbidden(Computes::OnCpu)?.into_keys());
    let mut rules: Rules =
        ALLOWED.iter().chain(ALLOWED_HERE).copied().chain(seen).map(|call| (call, Vec::new())).collect();
    let thread = u64::from(libc::CLONE_THREAD.cast_unsigned());
    let executable = u64::from(libc::PROT_EXEC.cast_unsigned());
    let any_of = |argument: u8, values: &[i32]| {
        let one = |value: &i32| rule([equal(argument, u64::from(value.cast_unsigned()))?]);
        values.iter().map(one).collect::<Result<Vec<_>, _>>()
    };
    rules.extend([
        // Threads, and no process.
        (libc::SYS_clone, vec![rule([condition(0, SeccompCmpOp::MaskedEq(thread), thread)?])?]),
        // Nothing that was written is run.
        (libc::SYS_mmap, vec![rule([condition(2, SeccompCmpOp::MaskedEq(executable), 0)?])?]),
        (libc::SYS_mprotect, vec![rule([condition(2, SeccompCmpOp::MaskedEq(executable), 0)?])?]),
        // An abort is a signal to oneself.
        (libc::SYS_tgkill, vec![rule([equal(0, u64::from(pid))?])?]),
        // A look at one's own limits; to set one is to say where the new one is.
        (libc::SYS_prlimit64, vec![rule([equal(0, 0)?, condition(2, SeccompCmpOp::Eq, 0)?])?]),
        (libc::SYS_prctl, any_of(0, &PRCTL)?),
        (libc::SYS_fcntl, any_of(1, &FCNTL)?),
    ]);
    Ok(rules)
}

fn equal(argument: u8, value: u64) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
}

fn condition(argument: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Qword, operator, value)
}

fn rule<const N: usize>(conditions: [SeccompCondition; N]) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(conditions.into())
}

fn errno(errno: i32) -> SeccompAction {
    SeccompAction::Errno(errno.cast_unsigned())
}

/// Everything else goes through.
fn deny(rules: Rules, with: i32) -> Result<BpfProgram, BackendError> {
    program(rules, SeccompAction::Allow, errno(with))
}

fn program(rules: Rules, otherwise: SeccompAction, matched: SeccompAction) -> Result<BpfProgram, BackendError> {
    SeccompFilter::new(rules, otherwise, matched, std::env::consts::ARCH.try_into()?)?.try_into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_computing_has_its_filters() {
        for (computes, filters) in [(Computes::OnCpu, 3), (Computes::WithCuda, 2), (Computes::WithVulkan, 2)] {
            assert_eq!(super::filters(computes, 7).expect("the tables make filters").len(), filters, "{computes:?}");
        }
    }

    #[test]
    fn nothing_is_both_allowed_and_forbidden() {
        for call in ALLOWED.iter().chain(ALLOWED_HERE) {
            assert!(!FORBIDDEN.contains(call) && !FORBIDDEN_HERE.contains(call), "{call}");
        }
    }
}
