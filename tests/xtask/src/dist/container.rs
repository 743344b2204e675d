//! The image is made of what is packed: the file that says how is held to the names that are written. No engine that
//! could build it is needed, or would be found on every machine.

use std::path::Path;

const FILE: &str = ".github/container/Containerfile";

/// Instructions with what they say, comments and continued lines put together.
fn instructions(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let joined = lines.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    let split = |line: &str| {
        let (instruction, rest) = line.split_once(' ')?;
        Some((instruction.to_owned(), rest.trim().to_owned()))
    };
    joined.lines().filter_map(split).collect()
}

fn read() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("xtask lies two folders deep");
    instructions(&std::fs::read_to_string(root.join(FILE)).expect("the file is there"))
}

fn said<'a>(instructions: &'a [(String, String)], wanted: &str) -> Vec<&'a str> {
    instructions.iter().filter(|(instruction, _)| instruction == wanted).map(|(_, said)| said.as_str()).collect()
}

#[test]
fn it_copies_the_package_that_is_written_for_each_kind_of_processor() {
    let instructions = read();
    let [copied] = said(&instructions, "COPY")[..] else { panic!("one thing is copied") };
    let source = copied.split(' ').next().expect("a source");
    for cpu in ["x86_64", "aarch64"] {
        let architecture = super::deb::architecture(cpu).expect("Debian has a name for it");
        let pattern = source.replace("${TARGETARCH}", architecture);
        let (before, behind) = pattern.split_once('*').expect("any version");
        let name = super::pack::deb_name(env!("CARGO_PKG_VERSION"), architecture);
        assert!(name.starts_with(before) && name.ends_with(behind), "{pattern} is not {name}");
    }
    assert!(said(&instructions, "ARG").iter().any(|arg| arg.starts_with("TARGETARCH")), "or it would be empty");
}

#[test]
fn it_runs_the_demo_as_a_user_who_is_not_root() {
    let instructions = read();
    assert_eq!(said(&instructions, "ENTRYPOINT"), [r#"["meetcap-supervisor"]"#]);
    assert_eq!(said(&instructions, "CMD"), [r#"["demo"]"#]);
    let [user] = said(&instructions, "USER")[..] else { panic!("one user") };
    let number: u32 = user.split(':').next().and_then(|user| user.parse().ok()).expect("by number");
    assert_ne!(number, 0);
    // What is behind it is run by that user.
    let last_run = instructions.iter().rposition(|(instruction, _)| instruction == "RUN");
    let user = instructions.iter().position(|(instruction, _)| instruction == "USER");
    assert!(last_run < user);
}

#[test]
fn lines_that_go_on_are_one_instruction_and_comments_are_none() {
    let read = instructions("# RUN a\nRUN b \\\n    && c\nUSER 1\n");
    let expected = [("RUN", "b      && c"), ("USER", "1")];
    assert_eq!(read, expected.map(|(instruction, said)| (instruction.to_owned(), said.to_owned())));
}
