//! macOS: a seatbelt profile. The interface is declared obsolete and used by every browser all the same; there is no
//! other for a program that is not in the App Store. Written against the profiles that come with the system; checked to
//! compile, and its text is tested, but it was not run by us.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::Computes;

/// What the C library, the clock and the frameworks read for themselves; whole folders.
const SYSTEM: [&str; 5] =
    ["/usr/lib", "/usr/share/zoneinfo", "/var/db/timezone", "/System/Library", "/private/var/db/timezone"];
const DEVICES: [&str; 2] = ["/dev/urandom", "/dev/random"];

/// The profile in seatbelt's own language: everything is denied but what is named.
pub(super) fn profile(readable: &[PathBuf], computes: Computes) -> Option<String> {
    let mut text = String::from("(version 1)\n(deny default)\n");
    text.push_str("(allow sysctl-read)\n(allow process-info* (target self))\n(allow signal (target self))\n");
    text.push_str("(allow file-read-metadata)\n");
    for folder in SYSTEM {
        let _ = writeln!(text, "(allow file-read* (subpath {}))", quoted(Path::new(folder))?);
    }
    for file in DEVICES.iter().map(Path::new).chain(readable.iter().map(PathBuf::as_path)) {
        let _ = writeln!(text, "(allow file-read* (literal {}))", quoted(file)?);
    }
    if computes == Computes::WithMetal {
        text.push_str("(allow iokit-open)\n(allow file-map-executable)\n");
        text.push_str("(allow mach-lookup (global-name \"com.apple.MTLCompilerService\"))\n");
        text.push_str("(allow mach-lookup (global-name \"com.apple.CARenderServer\"))\n");
    }
    Some(text)
}

/// As a string of seatbelt's. `None` for a path that cannot be one: it would end the string, or it is no text.
fn quoted(path: &Path) -> Option<String> {
    let text = path.to_str().filter(|text| !text.chars().any(char::is_control))?;
    Some(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

/// Puts the profile in place, for the whole process.
///
/// # Errors
/// Why nothing is restricted.
#[cfg(target_os = "macos")]
#[expect(unsafe_code, reason = "calls to the system")]
pub(super) fn restrict(readable: &[PathBuf], computes: Computes) -> Result<(), String> {
    use std::ffi::{CStr, CString, c_char, c_int};

    unsafe extern "C" {
        fn sandbox_init(profile: *const c_char, flags: u64, errorbuf: *mut *mut c_char) -> c_int;
        fn sandbox_free_error(errorbuf: *mut c_char);
    }

    // The rules speak of files as they are found when every link is followed.
    let resolved: Vec<PathBuf> = readable.iter().filter_map(|path| path.canonicalize().ok()).collect();
    let profile = profile(&resolved, computes).ok_or("a path cannot be written into a seatbelt profile; rename it")?;
    let profile = CString::new(profile).map_err(|error| format!("seatbelt: {error}"))?;
    let mut why: *mut c_char = std::ptr::null_mut();
    // SAFETY: the profile is a C string that lives through the call, and the place for the error is ours.
    let done = unsafe { sandbox_init(profile.as_ptr(), 0, &raw mut why) };
    if done == 0 {
        return Ok(());
    }
    if why.is_null() {
        return Err("seatbelt does not say why".to_owned());
    }
    // SAFETY: not null, so it is a C string of the system's, which is freed once, after it was copied.
    let text = unsafe {
        let text = CStr::from_ptr(why).to_string_lossy().into_owned();
        sandbox_free_error(why);
        text
    };
    Err(format!("seatbelt does not take the profile: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_denies_everything_and_names_what_may_be_read() {
        let profile = profile(&["/models/a.bin".into()], Computes::OnCpu).expect("plain paths");
        assert!(profile.starts_with("(version 1)\n(deny default)\n"), "{profile}");
        assert!(profile.contains("(allow file-read* (literal \"/models/a.bin\"))"), "{profile}");
        assert!(!profile.contains("write") && !profile.contains("network") && !profile.contains("exec"), "{profile}");
    }

    #[test]
    fn no_path_can_add_a_rule() {
        let sly =
            profile(&["/a\")) (allow default) (literal \"/b\\".into()], Computes::OnCpu).expect("it can be quoted");
        assert!(sly.contains("(literal \"/a\\\")) (allow default) (literal \\\"/b\\\\\"))"), "{sly}");
        assert_eq!(profile(&["/a\nb".into()], Computes::OnCpu), None);
    }
}
