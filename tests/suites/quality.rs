//! How well the bundled models are served: meetings of sentences that they never saw, spoken by several voices,
//! through the real program. They measured 0.0 % word error rate; what is lost here is lost by the product.
#![cfg(unix)]

use std::time::Duration;

use meetcap_tests::meeting::{self, Sentence};
use meetcap_tests::recall::Recall;
use meetcap_tests::rng::Rng;
use meetcap_tests::room::Room;
use meetcap_tests::speech::speak;
use meetcap_tests::wer::WordErrors;

const MEETINGS: usize = 20;
const LONG_MEETINGS: usize = 24;
const LIMIT: Duration = Duration::from_secs(240);

#[test]
fn twenty_meetings_are_heard_and_summarised() {
    let room = Room::new();
    let mut rng = Rng::fresh("twenty meetings");
    let meetings: Vec<(String, Vec<Sentence>)> = (0..MEETINGS)
        .map(|number| {
            let count = rng.between(5, 16);
            let meeting = meeting::meeting(&mut rng, count);
            speak(&meeting, &mut rng, &room.path(&format!("{number}.wav")));
            (number.to_string(), meeting)
        })
        .collect();
    let files = meetings.iter().map(|(name, _)| format!("{name}.wav"));
    let command = room.supervisor().within(LIMIT).args(["run", "--stt", "demo", "--llm", "demo", "--threads", "1"]);
    let finished = command.args(files).run().expect_code(0);

    let (mut errors, mut recall) = (WordErrors::default(), Recall::default());
    for (name, meeting) in &meetings {
        let (said, heard) = (meeting::text(meeting), room.text(&format!("{name}.transcript.txt")));
        let these = WordErrors::between(&said, &heard);
        if these.errors > 0 {
            println!("meeting {name}: {these:?}\nsaid:  {said}\nheard: {}", heard.replace('\n', " "));
        }
        errors += these;
        recall.count(meeting, &room.text(&format!("{name}.summary.md")));
    }
    println!("{errors:?}, {:.2} %; items: {:?}", errors.percent(), recall.both());
    println!("missing: {:#?}; took {:?}", recall.missing, finished.took);
    assert!(errors.percent() <= 2.0, "{errors:?}");
    assert!(recall.both().percent() >= 90.0, "{recall:#?}");
}

#[test]
fn a_meeting_of_sixty_sentences_keeps_its_decisions_and_tasks() {
    let room = Room::new();
    let mut rng = Rng::fresh("meetings of sixty sentences");
    let mut recall = Recall::default();
    for number in 0..LONG_MEETINGS {
        let meeting = meeting::meeting(&mut rng, 60);
        let lines: Vec<&str> = meeting.iter().map(|sentence| sentence.text.as_str()).collect();
        // Once a line each, once as one line of prose: both are cut into statements.
        let between = if number % 2 == 0 { "\n" } else { " " };
        room.file(&format!("{number}.txt"), lines.join(between));
        let command = room.supervisor().within(LIMIT).args(["summarize", "--llm", "demo", "--threads", "1"]);
        let _ = command.arg(format!("{number}.txt")).run().expect_code(0);
        recall.count(&meeting, &room.text(&format!("{number}.summary.md")));
    }
    println!("{:?}; missing: {:#?}", recall.both(), recall.missing);
    assert!(recall.both().percent() >= 90.0, "{recall:#?}");
}

#[test]
fn a_long_meeting_is_heard_from_beginning_to_end_and_in_order() {
    let room = Room::new();
    let mut rng = Rng::fresh("a long meeting");
    let meeting = meeting::meeting(&mut rng, 60);
    speak(&meeting, &mut rng, &room.path("long.wav"));
    let command = room.supervisor().within(LIMIT).args(["run", "--stt", "demo", "--no-summary", "--threads", "1"]);
    let _ = command.arg("long.wav").run().expect_code(0);
    let (said, heard) = (meeting::text(&meeting), room.text("long.transcript.txt"));
    let errors = WordErrors::between(&said, &heard);
    println!("{errors:?}, {:.2} %", errors.percent());
    assert!(errors.percent() <= 2.0, "{errors:?}\nsaid:  {said}\nheard: {heard}");
}
