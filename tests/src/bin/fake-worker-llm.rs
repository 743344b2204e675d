//! A summary worker that does what its script says.

fn main() -> std::process::ExitCode {
    meetcap_tests::fake::main(meetcap_tests::fake::FakeLlm::new)
}
