//! Compression, by the programs that every system with packages has. What comes out depends on what goes in, and on the
//! program's version: two packings on one machine are the same.

use std::io::Write;
use std::process::{Command, Stdio};

pub(crate) trait Compressor {
    fn compress(&self, bytes: &[u8]) -> Result<Vec<u8>, String>;
    /// What stands behind `.tar.`.
    fn ending(&self) -> &'static str;
}

/// `gzip`, without the name and the time that it would put in.
#[derive(Debug)]
pub(crate) struct Gzip;

/// `xz`, in one thread: with several the blocks depend on their number.
#[derive(Debug)]
pub(crate) enum Xz {
    /// Half the size of what gzip makes of several builds of the same source: it looks far enough back to find them.
    Small,
    /// For packages that are thrown away.
    Quick,
}

impl Compressor for Gzip {
    fn compress(&self, bytes: &[u8]) -> Result<Vec<u8>, String> {
        through("gzip", &["-9", "-n", "-c"], bytes)
    }

    fn ending(&self) -> &'static str {
        "gz"
    }
}

impl Compressor for Xz {
    fn compress(&self, bytes: &[u8]) -> Result<Vec<u8>, String> {
        let effort = match self {
            Self::Small => "-9",
            Self::Quick => "-0",
        };
        through("xz", &[effort, "-T1", "-c"], bytes)
    }

    fn ending(&self) -> &'static str {
        "xz"
    }
}

/// Hands `bytes` to a program and takes what it makes of them.
fn through(program: &str, arguments: &[&str], bytes: &[u8]) -> Result<Vec<u8>, String> {
    let failed = |cause| format!("`{program}` could not be run: {cause}; install it");
    // Options that a user has for himself would change the package.
    let mut command = Command::new(program);
    command.args(arguments).env_remove("GZIP").env_remove("XZ_OPT").env_remove("XZ_DEFAULTS");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(failed)?;
    let input = child.stdin.take();
    let output = std::thread::scope(|scope| {
        // It writes while it reads: one thread alone would wait for ever.
        let writer = scope.spawn(move || input.map_or(Ok(()), |mut input| input.write_all(bytes)));
        let output = child.wait_with_output();
        let written = writer.join().unwrap_or_else(|_| Err(std::io::Error::other("the writer panicked")));
        written.and(output)
    });
    let output = output.map_err(failed)?;
    if output.status.success() { Ok(output.stdout) } else { Err(format!("`{program}` failed ({})", output.status)) }
}

/// Nothing at all.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct Plain;

#[cfg(test)]
impl Compressor for Plain {
    fn compress(&self, bytes: &[u8]) -> Result<Vec<u8>, String> {
        Ok(bytes.to_vec())
    }

    fn ending(&self) -> &'static str {
        "none"
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn more_than_a_pipe_holds_goes_through_and_comes_out_the_same_twice() {
        let bytes: Vec<u8> =
            (0..300_000_u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        let once = Gzip.compress(&bytes).expect("gzip");
        assert_eq!(Gzip.compress(&bytes).expect("gzip"), once);
        assert_eq!(through("gzip", &["-d", "-c"], &once).expect("gzip"), bytes);
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        assert!(through("a-program-nobody-has", &[], b"").is_err_and(|why| why.contains("a-program-nobody-has")));
    }
}
