//! Keeps this program's code in memory, so that it outlives a worker that runs into the hard limit of their group.
//!
//! # What happens at a hard limit
//!
//! ```text
//!  usage of the group
//!  limit ▲        ╱▔▔▔▔▔▔▔▔▔▔▔▔▔▔╲
//!        │      ╱ ┆              ┆ ╲
//!        │    ╱   ┆              ┆   ╲____
//!        └────────┆──────────────┆─────────► time
//!           worker is killed   first of its pages are given back
//!                 └── some ms ───┘
//! ```
//!
//! On the way up the kernel takes every page away that it can read again from a file; without swap those are the only
//! ones, and this program's code is among them. In the span between, the worker is no candidate for a kill any more
//! and all it had is still counted. Whoever needs a page now finds none, and the kernel looks for somebody else to
//! kill: in a group of two that is the supervisor, for no better reason than that a timer went off and the code for
//! it had to be read in again. 2 of 900 runs ended so.
//!
//! # What is kept, and what is not
//!
//! Every mapping of a file: the program's and the C library's code, constants and tables, code first in case not all
//! of it is allowed (`RLIMIT_MEMLOCK`, usually 8 MiB; without any there is nothing to be done). Not the bundled
//! recording and models, which are larger than all the rest and are read once. Only what has been read in once is kept
//! (`MLOCK_ONFAULT`): what goes on in that span has gone on ten times a second before, and nothing is read that would
//! not have been. These are pages of files, no memory of the program's own, and a child inherits none of it.
//!
//! Heap and stack need no lock: without swap nothing takes them away, and what is freed in them is taken again without
//! asking the kernel. New pages for them, for the journal or a new worker are wanted when there is something to do,
//! which is while the worker is alive (then the kernel takes *it*) or once it was reaped (then its memory is back).
//!
//! What the *kernel* allocates for this program, such as an open file, is asked for at the same moments and as deadly;
//! the library keeps open what it reads over and over (`memory/linux/kept.rs`). The sure remedy would be to forbid the
//! kernel to kill this process (`oom_score_adj`), which takes a privilege that most have not, is inherited by whatever
//! is started, and is more than a program should ask for.
//!
//! This is for the program: a library does not pin the code of whatever it is built into.

#[cfg(any(all(target_os = "linux", target_env = "gnu"), test))]
use std::ops::Range;

#[cfg(all(target_os = "linux", target_env = "gnu"))]
use std::io;

/// What `mlock` counts in; on a machine with larger pages the edges of `bulk` are refused, and nothing else.
#[cfg(any(all(target_os = "linux", target_env = "gnu"), test))]
const PAGE: usize = 4096;

/// Keeps what was read of the program from now on, but for `bulk`. A favour to the user; it cannot fail in a way that
/// matters.
#[cfg_attr(
    all(target_os = "linux", target_env = "gnu"),
    expect(unsafe_code, reason = "memory is locked by its addresses")
)]
pub(crate) fn keep_code(bulk: &[&'static [u8]]) {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
        let bulk: Vec<Range<usize>> = bulk.iter().map(|bytes| addresses(bytes)).collect();
        let (mut kept, mut refused) = (0, None);
        for range in worth_keeping(&maps, &bulk) {
            // SAFETY: changes nothing that a program can see of its memory. The ranges are mappings of this process; if
            // one was gone by now the call would fail.
            match unsafe { libc::mlock2(range.start as *const libc::c_void, range.len(), libc::MLOCK_ONFAULT as _) } {
                0 => kept += range.len(),
                _ => refused = Some(io::Error::last_os_error()),
            }
        }
        match refused {
            Some(error) => tracing::debug!("{kept} bytes of code stay in memory, more may not: {error}"),
            None => tracing::debug!("{kept} bytes of code stay in memory"),
        }
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    let _ = bulk;
}

#[cfg(any(all(target_os = "linux", target_env = "gnu"), test))]
fn addresses(bytes: &[u8]) -> Range<usize> {
    let Range { start, end } = bytes.as_ptr_range();
    start as usize..end as usize
}

/// The mappings of files in a `/proc/<pid>/maps`, executable ones first, without the pages that lie wholly in `bulk`.
#[cfg(any(all(target_os = "linux", target_env = "gnu"), test))]
fn worth_keeping(maps: &str, bulk: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut files: Vec<(bool, Range<usize>)> = maps.lines().filter_map(file).collect();
    files.sort_by_key(|(is_code, _)| !is_code);
    files.into_iter().flat_map(|(_, range)| without(range, bulk)).collect()
}

/// `55cff65ac000-55cff695c000 r-xp 00745000 fe:00 6234837    /usr/bin/meetcap-supervisor`
#[cfg(any(all(target_os = "linux", target_env = "gnu"), test))]
fn file(line: &str) -> Option<(bool, Range<usize>)> {
    let mut fields = line.split_ascii_whitespace();
    let (range, permissions) = (fields.next()?, fields.next()?);
    // What is no file has no name, or one in brackets.
    fields.nth(3)?.starts_with('/').then_some(())?;
    let (start, end) = range.split_once('-')?;
    let address = |digits| usize::from_str_radix(digits, 16).ok();
    Some((permissions.contains('x'), address(start)?..address(end)?))
}

/// What is left of `range` outside of the whole pages in `holes`.
#[cfg(any(all(target_os = "linux", target_env = "gnu"), test))]
fn without(range: Range<usize>, holes: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut left = vec![range];
    for hole in holes {
        let (start, end) = (hole.start.next_multiple_of(PAGE), hole.end / PAGE * PAGE);
        let parts = left.iter().flat_map(|range| [range.start..range.end.min(start), range.start.max(end)..range.end]);
        if start < end {
            left = parts.filter(|part| !part.is_empty()).collect();
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &str = "\
        10000-20000 r--p 00000000 fe:00 11                         /usr/bin/meetcap-supervisor\n\
        20000-50000 r-xp 00010000 fe:00 11                         /usr/bin/meetcap-supervisor\n\
        50000-51000 rw-p 00040000 fe:00 11                         /usr/bin/meetcap-supervisor\n\
        60000-70000 rw-p 00000000 00:00 0                          [heap]\n\
        80000-90000 rw-p 00000000 00:00 0 \n\
        a0000-b0000 r-xp 00000000 fe:00 12                         /usr/lib/libc.so.6 (deleted)\n\
        c0000-c1000 r-xp 00000000 00:00 0                          [vdso]\n\
        nonsense\n";

    #[test]
    fn code_comes_first_and_what_is_no_file_not_at_all() {
        let kept = [0x20000..0x50000, 0xa0000..0xb0000, 0x10000..0x20000, 0x50000..0x51000];
        assert_eq!(worth_keeping(MAPS, &[]), kept);
        assert!(worth_keeping("", &[]).is_empty());
    }

    #[test]
    fn whole_pages_of_bulk_are_left_out() {
        let page = |number: usize| number * PAGE;
        let rest = |holes: &[(usize, usize)]| {
            let holes: Vec<Range<usize>> = holes.iter().map(|(start, end)| *start..*end).collect();
            without(page(10)..page(20), &holes)
        };
        assert_eq!(rest(&[(page(12), page(14))]), [page(10)..page(12), page(14)..page(20)]);
        assert_eq!(rest(&[(page(12) + 1, page(15) - 1)]), [page(10)..page(13), page(14)..page(20)]);
        assert_eq!(rest(&[(page(13), page(20)), (page(10), page(12))])[0], page(12)..page(13));
        assert!(rest(&[(page(5), page(30))]).is_empty());
        for elsewhere in [(1, 5), (20, 25)].map(|(start, end)| (page(start), page(end))) {
            assert_eq!(rest(&[elsewhere]).iter().map(Range::len).sum::<usize>(), page(10));
        }
        for no_whole_page in [(page(12) + 1, page(13) + 9), (page(12), page(12))] {
            assert_eq!(rest(&[no_whole_page]).iter().map(Range::len).sum::<usize>(), page(10));
        }
    }

    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[test]
    fn this_programs_own_code_is_found() {
        let maps = std::fs::read_to_string("/proc/self/maps").expect("Linux has it");
        let here = keep_code as fn(&[&'static [u8]]) as usize;
        assert!(worth_keeping(&maps, &[])[0].contains(&here));
        static BULK: [u8; 8 * PAGE] = [1; 8 * PAGE];
        let middle = BULK[4 * PAGE..].as_ptr() as usize;
        let kept = |bulk: &[Range<usize>]| worth_keeping(&maps, bulk).iter().any(|range| range.contains(&middle));
        assert!(kept(&[]) && !kept(&[addresses(&BULK)]));
    }
}
