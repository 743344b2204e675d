#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = (meetcap_fuzz_targets::named("journal").expect("a target").read)(bytes);
});
