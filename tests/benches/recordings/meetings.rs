//! Meetings of sentences that the speech model never met, spoken by several voices, through the whole program: how many
//! words are wrong, and how many of the actions and decisions that were said are in the summary. The models are bundled
//! and small; what is measured is what the program makes of them.

use std::time::Duration;

use meetcap_tests::figures::Results;
use meetcap_tests::meeting::{self, Sentence};
use meetcap_tests::recall::{Recall, Share};
use meetcap_tests::rng::Rng;
use meetcap_tests::room::Room;
use meetcap_tests::speech::speak;
use meetcap_tests::wer::WordErrors;

const LIMIT: Duration = Duration::from_secs(1200);
/// What the suite `quality` holds the program to, in percent.
const WRONG: f64 = 2.0;
const FOUND: f64 = 90.0;

/// How many meetings, and of how many sentences.
struct Group {
    name: &'static str,
    meetings: usize,
    sentences: (usize, usize),
}

/// One that fits the bundled summary model's context, and one that has to be summarised in parts.
const GROUPS: [Group; 2] = [
    Group { name: "short", meetings: 80, sentences: (5, 16) },
    Group { name: "long", meetings: 16, sentences: (40, 80) },
];

pub(crate) fn measure() {
    let mut rng = Rng::fresh("meetings of unseen sentences");
    let seed = rng.state();
    let mut results = Results::new(31, "meetings of unseen sentences", "meetings");
    GROUPS.iter().for_each(|group| group.measure(&mut rng, &mut results));
    results.note(format!(
        "Short meetings of 5 to 16 sentences, long ones of 40 to 80, which are summarised in parts; 1 to 4 voices of \
         espeak-ng; no sentence is one that the speech model was trained on, set phrases apart. The real workers with the \
         bundled models. Drawn from MEETCAP_TEST_SEED={seed}.",
    ));
    results.note(
        "An item is found when the summary has its line, owner, task and date alike. Lines that nobody said: those under \
         `Decisions Made` and `Action Items` that are no item of the meeting, a misheard item included.",
    );
    results.write("meetings");
}

impl Group {
    fn measure(&self, rng: &mut Rng, results: &mut Results) {
        let room = Room::new();
        let meetings: Vec<Vec<Sentence>> = (0..self.meetings).map(|number| self.speak(number, rng, &room)).collect();
        // One thread: two would wait for each other on a busy machine.
        let command = room.supervisor().within(LIMIT).args(["run", "--stt", "demo", "--llm", "demo", "--threads", "1"]);
        let command = command.args((0..self.meetings).map(|number| format!("{number}.wav")));
        let took = command.run().expect_code(0).took;

        let (mut errors, mut recall) = (WordErrors::default(), Recall::default());
        for (number, meeting) in meetings.iter().enumerate() {
            errors += WordErrors::between(&meeting::text(meeting), &room.text(&format!("{number}.transcript.txt")));
            recall.count(meeting, &room.text(&format!("{number}.summary.md")));
        }
        println!("missing: {:#?}\ninvented: {:#?}", recall.missing, recall.invented);
        let name = |what: &str| format!("{}: {what}", self.name);
        results.plain(name("meetings"), self.meetings as f64, "");
        results.plain(name("words said"), errors.words as f64, "");
        results.at_most(name("word error rate"), errors.percent(), "%", WRONG);
        let mut found = |what: &str, share: Share| {
            results.plain(name(&format!("{what} said")), share.said as f64, "");
            let target = format!("≥ {FOUND}");
            results.judged(name(&format!("{what} found")), share.percent(), "%", target, share.percent() >= FOUND);
        };
        found("actions", recall.actions);
        found("decisions", recall.decisions);
        results.plain(name("lines that nobody said"), recall.invented.len() as f64, "");
        results.plain(name("all of it"), took.as_secs_f64(), "s");
    }

    fn speak(&self, number: usize, rng: &mut Rng, room: &Room) -> Vec<Sentence> {
        let count = rng.between(self.sentences.0, self.sentences.1);
        let meeting = meeting::meeting(rng, count);
        speak(&meeting, rng, &room.path(&format!("{number}.wav")));
        meeting
    }
}
